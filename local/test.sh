#!/usr/bin/env bash
# Run the tests, all of them or the named folders: `local/test.sh unit contract`. What is independent runs in parallel; the tests of
# the whole platform run one at a time. The last line is the sum; the exit code is 0 only if nothing failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
local/bootstrap.sh dev || exit

parallel=() serial=()
for folder in "${@:-}"; do
  [[ -e tests/$folder ]] || { echo "There is no tests/$folder." >&2; exit 2; }
  case $folder in
    '') parallel=(tests/unit tests/contract tests/integration) serial=(tests/e2e tests/browser tests/fault) ;;
    e2e | fault | browser) serial+=("tests/$folder") ;;
    *) parallel+=("tests/$folder") ;;
  esac
done

passed=0 failed=0 skipped=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# pytest with these arguments; adds its counts up. xfailed tests did what they should; errors count as failures.
run() {
  local code counts before=$failed
  .venv/bin/python -m pytest -rs "$@" | tee "$output"
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

workers=$(nproc)
((${#parallel[@]} == 0)) || run -n "$((workers > 4 ? 4 : workers))" "${parallel[@]}"
for folder in ${serial[@]+"${serial[@]}"}; do run "$folder"; done

echo
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
