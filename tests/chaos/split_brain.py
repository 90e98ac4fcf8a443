"""Two servers of one job alive at once: a node is paused, its server replaced, and it comes back.

Its kubelet is stopped before, so that nobody but the old server itself can end the old server.
"""

from __future__ import annotations

import time

from chaos.faults import Phase
from chaos.matrix import LONGEST, Outcome, Strike, submitted, told_of
from chaos.nodes import docker, on
from chaos.scene import ChaosStage, JobScene
from chaos.verdict import faults_of_log, faults_of_model

ROUNDS = 40


def split_brain(stage: ChaosStage, name: str) -> Outcome:
    """No round is committed twice, and the old server stops itself."""
    outcome = Outcome("split brain: server's node paused, and back without its kubelet")
    scene = JobScene(stage, name, ROUNDS)
    with submitted(scene, outcome):
        scene.until(lambda: scene.completed() >= 2, LONGEST)
        old = scene.server()
        assert old is not None, scene.status()
        on(old.node, "systemctl stop kubelet")
        struck = time.time()
        docker("pause", old.node)
        try:
            attempt = scene.commits()[scene.completed()].attempt
            by_new = scene.until(
                lambda: (c := scene.commits()[scene.completed()]).attempt > attempt and c, LONGEST
            )
            if not by_new:
                outcome.wrong.append("no other server committed a round")
            found = scene.next_commit(struck)
            took = found[0] if found else None
            outcome.strikes.append(Strike(outcome.fault, Phase.MID_ROUND, took))
            docker("unpause", old.node)
            back = time.time()
            running = f"ctr -n k8s.io tasks ls 2>/dev/null | grep {old.container} | grep RUNNING"
            if not on(old.node, running, check=False):
                outcome.wrong.append("the old server was not alive when its node came back")
            gone = scene.until(lambda: not on(old.node, running, check=False), LONGEST, 0.5)
            took = time.time() - back if gone else None
            outcome.strikes.append(Strike(outcome.fault, "the old server stops itself", took))
            if not gone:
                outcome.wrong.append("the old server did not stop itself")
            # NVFlare may say more until it is ended: the whole log is looked through.
            log = f"/var/log/pods/{stage.jobs}_{old.pod}_*/main/*.log"
            if not on(old.node, f"grep -hE 'Failed: (Fenced|RoundTaken)' {log}", check=False):
                words = on(old.node, f"tail -n 40 {log}", check=False)
                outcome.wrong.append(f"the old server did not say why it stopped: {words}")
        finally:
            docker("unpause", old.node, check=False)
            on(old.node, "systemctl start kubelet", check=False)
        done = scene.completed()
        scene.until(lambda: scene.completed() >= done + 2, LONGEST)
        stage.kubectl("-n", stage.jobs, "patch", "fj", name, "--type=merge", "-p", SUSPEND)
        time.sleep(10)
        commits = dict(scene.commits())
        outcome.wrong += faults_of_log(commits)
        outcome.wrong += faults_of_model(commits, scene.model(commits[max(commits)]))
        outcome.told = told_of(scene.status())
    return outcome


SUSPEND = '{"spec": {"runPolicy": {"suspend": true}}}'
