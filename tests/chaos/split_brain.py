"""Two live servers of one job: a node is paused, its server replaced, and the node comes back.

The node's kubelet is stopped before, so that only the old server itself can end the old server.
"""

from __future__ import annotations

import time

from chaos.deployment import ChaosDeployment
from chaos.faults import Phase
from chaos.invariants import log_violations, model_violations
from chaos.matrix import LONGEST, Outcome, Strike, counts_of, submitted
from chaos.nodes import docker, on
from chaos.running_job import RunningJob

ROUNDS = 40


def split_brain(deployment: ChaosDeployment, name: str) -> Outcome:
    """No round is committed twice, and the old server stops itself."""
    outcome = Outcome("split brain: server's node paused, and back without its kubelet")
    job = RunningJob(deployment, name, ROUNDS)
    with submitted(job, outcome):
        job.until(lambda: job.completed() >= 2, LONGEST)
        old = job.server()
        assert old is not None, job.status()
        on(old.node, "systemctl stop kubelet")
        struck = time.time()
        docker("pause", old.node)
        try:
            attempt = job.commits()[job.completed()].attempt
            by_new = job.until(
                lambda: (c := job.commits()[job.completed()]).attempt > attempt and c, LONGEST
            )
            if not by_new:
                outcome.wrong.append("no other server committed a round")
            found = job.next_commit(struck)
            took = found[0] if found else None
            outcome.strikes.append(Strike(outcome.fault, Phase.MID_ROUND, took))
            docker("unpause", old.node)
            back = time.time()
            running = f"ctr -n k8s.io tasks ls 2>/dev/null | grep {old.container} | grep RUNNING"
            if not on(old.node, running, check=False):
                outcome.wrong.append("the old server was not alive when its node came back")
            gone = job.until(lambda: not on(old.node, running, check=False), LONGEST, 0.5)
            took = time.time() - back if gone else None
            outcome.strikes.append(Strike(outcome.fault, "the old server stops itself", took))
            if not gone:
                outcome.wrong.append("the old server did not stop itself")
            # NVFlare may log more until it ends, so this searches the whole log.
            log = f"/var/log/pods/{deployment.jobs}_{old.pod}_*/main/*.log"
            if not on(old.node, f"grep -hE 'Failed: (Fenced|RoundTaken)' {log}", check=False):
                tail = on(old.node, f"tail -n 40 {log}", check=False)
                outcome.wrong.append(f"the old server did not log why it stopped: {tail}")
        finally:
            docker("unpause", old.node, check=False)
            on(old.node, "systemctl start kubelet", check=False)
        done = job.completed()
        job.until(lambda: job.completed() >= done + 2, LONGEST)
        deployment.kubectl(
            "-n", deployment.jobs, "patch", "fj", name, "--type=merge", "-p", SUSPEND
        )
        time.sleep(10)
        commits = dict(job.commits())
        outcome.wrong += log_violations(commits)
        outcome.wrong += model_violations(commits, job.model(commits[max(commits)]))
        outcome.counts = counts_of(job.status())
    return outcome


SUSPEND = '{"spec": {"runPolicy": {"suspend": true}}}'
