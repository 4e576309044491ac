#!/usr/bin/env bash
# Tries each promise of deploy/nginx/quorate.conf with the real nginx before a node, and before one that dies after it
# has applied a change. Needs nginx and curl; uses the ports 31340 to 31343 of this machine. Exit code 0: all hold.
set -u
Q=$(cd "$(dirname "$0")/../.." && pwd)
D=$(mktemp -d)
mkdir "$D/log"
cd "$D" || exit 1
KV="node $Q/bin/kv.js"
PIDS=()
trap 'kill "${PIDS[@]}" 2>/dev/null; wait; rm -rf "$D"' EXIT
FAILED=0
check() { # WHAT EXPECTED FOUND
  if [ "$2" == "$3" ]; then echo "holds: $1"; else echo "BROKEN: $1: expected $2, found $3"; FAILED=1; fi
}

$KV cert ca --dir certs >/dev/null
for name in n1 proxyserver; do $KV cert node $name --host 127.0.0.1,localhost,quorate.example.org --dir certs >/dev/null; done
for name in root proxy; do $KV cert client $name --dir certs >/dev/null; done
$KV node start --name n1 --data "$D/n1" --listen 127.0.0.1:31340 --peer-listen 127.0.0.1:31341 --bootstrap \
  --metrics-listen 127.0.0.1:31344 --tls-cert certs/n1.crt --tls-key certs/n1.key --tls-ca certs/ca.crt \
  --client-cert required --allowed-host quorate.example.org >log/n1 2>&1 &
PIDS+=($!)
until curl -sf http://127.0.0.1:31344/readyz >/dev/null; do sleep 0.3; done
K="$KV --endpoints https://127.0.0.1:31340 --cacert certs/ca.crt --cert certs/root.crt --key certs/root.key"
echo 'root password' >rp
echo 'alice password' >ap
{
  $K user add root --role root --password-file rp
  $K role add alice
  $K role grant alice readwrite --all
  $K user add alice --role alice --password-file ap
  $K auth enable
} >/dev/null 2>&1
node "$Q/test/deploy/cutting-relay.mjs" 31342 31340 certs >log/relay 2>&1 &
PIDS+=($!)
sed -e 's/server 10.77.0.1:7301/server 127.0.0.1:31342/' -e 's/server 10.77.0.2:7301/server 127.0.0.1:31340/' -e '/10.77.0.3/d' \
  -e 's/listen 443 ssl/listen 127.0.0.1:31343 ssl/' -e "s#/etc/nginx/quorate/proxy\.#$D/certs/proxyserver.#" \
  -e "s#/etc/nginx/quorate/client\.#$D/certs/proxy.#" -e "s#/etc/nginx/quorate/ca#$D/certs/ca#" \
  "$Q/deploy/nginx/quorate.conf" >site.conf
cat >nginx.conf <<END
worker_processes 1; pid $D/nginx.pid; error_log $D/log/error.log; daemon off;
events { worker_connections 512; }
http { access_log off; client_body_temp_path $D/t1; proxy_temp_path $D/t2; fastcgi_temp_path $D/t3;
uwsgi_temp_path $D/t4; scgi_temp_path $D/t5; include $D/site.conf; }
END
nginx -c "$D/nginx.conf" -p "$D" >log/nginx 2>&1 &
PIDS+=($!)
sleep 1

DIRECT=(curl -s --cacert certs/ca.crt --cert certs/root.crt --key certs/root.key -u 'alice:alice password')
PROXY=(curl -s --cacert certs/ca.crt --resolve quorate.example.org:31343:127.0.0.1)
ALICE=(-u 'alice:alice password')
U=https://quorate.example.org:31343
revision() { "${DIRECT[@]}" https://127.0.0.1:31340/v1/status | sed 's/.*"revision":\([0-9]*\).*/\1/'; }
lines() { wc -l <log/relay; }

# The node that dies, and the one that lives, take turns: a request is made until it has reached the first.
through_the_dying() { # METHOD PATH CURL-OPTIONS
  for _ in 1 2 3 4 5 6; do
    sleep 2.2 # fail_timeout
    local before
    before=$(lines)
    [ "$1" == DELETE ] && "${DIRECT[@]}" -X PUT -d held "https://127.0.0.1:31340$2" >/dev/null
    R=$(revision)
    STATUS=$("${PROXY[@]}" "${ALICE[@]}" -o /dev/null -w '%{http_code}' -X "$1" "${@:3}" "$U$2")
    REACHED=$(($(lines) - before))
    MADE=$(($(revision) - R))
    [ "$REACHED" -gt 0 ] && return
  done
}
through_the_dying PUT /v1/kv/a -d x
check 'a PUT that a node has made is not repeated; its client gets 502' '502 1 1' "$STATUS $REACHED $MADE"
through_the_dying PUT /v1/kv/b -H 'Content-Length: 0'
check 'nor is a PUT without a body' '502 1 1' "$STATUS $REACHED $MADE"
through_the_dying DELETE /v1/kv/c
check 'nor is a DELETE' '502 1 1' "$STATUS $REACHED $MADE"
through_the_dying POST /v1/txn -H 'Content-Type: application/json' -d '{"success":[{"put":{"key":"d","value":"1"}}]}'
check 'nor is a POST' '502 1 1' "$STATUS $REACHED $MADE"

# From here on nginx has only the node that lives.
sed -i '/127.0.0.1:31342/d' site.conf
kill -HUP "$(cat nginx.pid)"
sleep 1
head -c 1048576 /dev/zero >large
check 'a value of 1 MiB passes' 200 "$("${PROXY[@]}" "${ALICE[@]}" -o /dev/null -w '%{http_code}' -T large $U/v1/kv/large)"
check 'without a password there is no user' 401 "$("${PROXY[@]}" -o /dev/null -w '%{http_code}' $U/v1/kv/a)"
check 'without one there is no lease' 401 \
  "$("${PROXY[@]}" -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d '{"ttl":"30s"}' $U/v1/leases)"
for path in status cluster cluster/settings leases auth/self; do
  check "without one there is no /v1/$path" 401 "$("${PROXY[@]}" -o /dev/null -w '%{http_code}' "$U/v1/$path")"
done
check 'the user is that of the password' alice \
  "$("${PROXY[@]}" "${ALICE[@]}" -H 'Accept: application/json' $U/v1/kv/large | sed 's/.*"by":"\([a-z]*\)".*/\1/')"
"${PROXY[@]}" "${ALICE[@]}" -N --max-time 4 "$U/v1/watch?key=w" >watched &
WATCH=$!
sleep 1
"${DIRECT[@]}" -X PUT -d now https://127.0.0.1:31340/v1/kv/w >/dev/null
sleep 1
check 'the event of a watch is passed on at once' 1 "$(grep -c '"type":"put"' watched)"
wait $WATCH
"${PROXY[@]}" -o /dev/null "$U/livez"
node --input-type=module -e "
import { readFileSync } from 'node:fs'
import { Client } from '$Q/src/index.ts'
const kv = new Client({ endpoints: ['https://localhost:31343'], discover: false, user: 'alice', password: 'alice password',
  tls: { ca: readFileSync('certs/ca.crt'), servername: 'quorate.example.org' } })
for (let at = 0; at < 300; at++) await Promise.all([1, 2, 3].map((each) => kv.put('m' + each, String(at))))
const text = await (await fetch('http://127.0.0.1:31344/metrics')).text()
console.log(/lane=\"mux\"} (\d+)/.exec(text)?.[1] > 0 ? 'yes' : 'no')
await kv.close()
" >mux 2>log/mux
check 'multiplexed connections pass' yes "$(cat mux)"
exit $FAILED
