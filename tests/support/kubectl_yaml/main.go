// Command kubectl-yaml reads YAML documents as kubectl does, for the tests that compare fedjob's
// reader with it. Standard input: one JSON string a line, each a YAML document. Standard output:
// one JSON value a line: {"json": TEXT} with the JSON that kubectl would send, or {"error": TEXT}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

type answer struct {
	JSON  string `json:"json,omitempty"`
	Error string `json:"error,omitempty"`
}

func read(document string) (result answer) {
	// The YAML package panics on a few documents; kubectl then ends without sending anything.
	defer func() {
		if cause := recover(); cause != nil {
			result = answer{Error: fmt.Sprint("panic: ", cause)}
		}
	}()
	sent, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{JSON: string(sent)}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var document string
		if err := json.Unmarshal(lines.Bytes(), &document); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(out).Encode(read(document)); err != nil {
			panic(err)
		}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}
