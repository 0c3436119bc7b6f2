#!/usr/bin/env bash
# Run the tests, all of them or the named folders: `local/test.sh unit contract`. They run in parallel, one a processor and four at
# most; of those that start the whole platform two at a time. The last line is the sum; the exit code is 0 only if nothing failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
local/bootstrap.sh dev || exit

small=() whole=()
for folder in "${@:-}"; do
  [[ -e tests/$folder ]] || { echo "There is no tests/$folder." >&2; exit 2; }
  case $folder in
    '') small=(tests/unit tests/contract tests/integration) whole=(tests/e2e tests/browser tests/fault) ;;
    e2e | fault | browser) whole+=("tests/$folder") ;;
    *) small+=("tests/$folder") ;;
  esac
done

passed=0 failed=0 skipped=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# pytest in at most so many processes, with the other arguments; adds its counts up. xfailed tests did what they should; errors count
# as failures.
run() {
  local code counts before=$failed at_most=$1
  shift
  .venv/bin/python -m pytest -rs -n "$((processors > at_most ? at_most : processors))" "$@" | tee "$output"
  code=${PIPESTATUS[0]}
  counts=$(grep -E '^=* ?[0-9]+ [a-z]+.* in [0-9.]+s' "$output" | tail -n 1)
  while read -r number what; do
    case $what in
      passed | xfailed) ((passed += number)) ;;
      failed | error | errors | xpassed) ((failed += number)) ;;
      skipped) ((skipped += number)) ;;
    esac
  done < <(grep -oE '[0-9]+ (passed|xfailed|failed|errors?|xpassed|skipped)' <<<"$counts")
  case $code in
    0 | 5) ;;       # 5: the folder has no tests
    2) exit 130 ;;  # interrupted
    *) ((failed > before)) || ((failed += 1)) ;; # it broke without counting
  esac
}

processors=$(nproc)
((${#small[@]} == 0)) || run 4 "${small[@]}"
for folder in ${whole[@]+"${whole[@]}"}; do run 2 "$folder"; done

echo
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
