# The chain in small, as a department's officer goes it: `helm test`. Without credentials: only whether both doors serve.
set -eu
/app/bin/python - <<'PYTHON'
import os, sys, time
import httpx

for url in os.environ["PLAZA_TEST_DOORS"].split():
    for path in ("/readyz", "/api/v1/openapi.json"):
        for _ in range(30):
            try:
                status = httpx.get(url + path, timeout=10, trust_env=False).status_code
            except httpx.HTTPError as error:
                status = error
            if status == 200:
                break
            time.sleep(2)
        else:
            sys.exit(f"{url}{path}: {status}")
        print(f"{url}{path}: 200", flush=True)
PYTHON
if [ -z "${PLAZA_TEST_USER:-}" ]; then
  echo "helmTest.existingSecret is not set: the chain itself was NOT run."
  exit 0
fi
cd "${TMPDIR:-/cache}"
plaza=/app/bin/plaza
dataset="$PLAZA_TEST_DEPARTMENT/helm-test"
stamp="run-$(date +%s)"
printf '%s' "$PLAZA_TEST_PASSWORD" | $plaza login --user "$PLAZA_TEST_USER" --password-stdin
# Another file each time, for the same one again is no new version.
printf 'place,value,taken\nnorth,1,%s\nsouth,2,%s\neast,3,%s\n' "$stamp" "$stamp" "$stamp" > rows.csv
if ! $plaza dataset show "$dataset" > /dev/null 2>&1; then
  $plaza dataset infer rows.csv --output contract.yaml
  $plaza dataset register "$dataset" --contract contract.yaml --title 安装检验 --grade public \
    --sharing-class unconditional --licence CC-BY-4.0 --open
fi
$plaza ingest "$dataset" rows.csv --mode replace --wait
$plaza rows "$dataset" --where "taken = \"$stamp\"" --json > read.json
[ "$(grep -o "$stamp" read.json | wc -l)" -ge 3 ] || { echo "the three rows do not come back:"; cat read.json; exit 1; }
echo "3 rows loaded and read"
if [ "${PLAZA_TEST_PUBLISH:-}" = yes ]; then
  $plaza release publish "$dataset"
  $plaza release download "$dataset"
  for file in helm-test-r*.csv; do $plaza verify "$file"; done
fi
echo "The chain holds."
