#!/usr/bin/env bash
# Type `make run` as a newcomer does, wait until its page is served and all is well, end it by Ctrl-C, and type `make down`.
# In a network namespace of its own (enter.sh --net), whose ports are free.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build
trimtab=(.venv/bin/trimtab --root /var/lib/trimtab-quickstart --run-dir /run/trimtab-quickstart)
set -m # the job gets a process group, to which SIGINT goes as from a terminal
make run >build/make-run.log 2>&1 &
job=$!
for _ in $(seq 120); do
    sleep 0.5
    kill -0 "$job" 2>/dev/null || break
    "${trimtab[@]}" status >build/status.log 2>&1 && break
done
page=$(.venv/bin/python -c 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8080/", timeout=5).status)') || page=none
kill -INT -- "-$job" 2>/dev/null || true
code=0
wait "$job" || code=$?
make down
# make itself has had the SIGINT as well, and may say so
if [ "$page" != 200 ] || { [ "$code" != 0 ] && [ "$code" != 130 ]; } || ! grep -q "the agent stops" build/make-run.log; then
    echo "make run ended with $code, and the page answered $page" >&2
    tail -n 50 build/make-run.log build/status.log >&2
    exit 1
fi
echo "    the page was served, and make run ended in order"
