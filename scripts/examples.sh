#!/usr/bin/env bash
# Builds and runs every example. `receiver` is called with curl and with `tower-webhook send`, over loopback and on free ports; its
# signatures are computed by openssl (or Python), so that this crate does not merely agree with itself.
# Shows what failed and exits with 1 if anything did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failures=0
pid=
pg_stop=
redis_pid=
provider_pid=
work=$(mktemp -d)
cleanup() {
    if [ -n "$pid" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    if [ -n "$pg_stop" ]; then stop_postgres; fi
    if [ -n "$redis_pid" ]; then kill -KILL "$redis_pid" 2>/dev/null || true; fi
    if [ -n "$provider_pid" ]; then kill -KILL "$provider_pid" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap cleanup EXIT
touch "$work/out" "$work/err"

passed() { printf 'ok    %s\n' "$*"; }
failed() {
    failures=$((failures + 1))
    printf 'FAIL  %s\n' "$*"
}
give_up() {
    printf 'FAIL  %s\n' "$*"
    sed 's/^/      receiver: /' "$work/out" "$work/err" | tail -n 40
    exit 1
}

command -v curl >/dev/null || give_up "curl is missing"
if command -v openssl >/dev/null; then
    hmac() { openssl dgst -sha256 -hmac "$1" -r | cut -d ' ' -f 1; }
elif command -v python3 >/dev/null; then
    hmac() {
        python3 -c 'import hashlib, hmac, sys
print(hmac.new(sys.argv[1].encode(), sys.stdin.buffer.read(), hashlib.sha256).hexdigest())' "$1"
    }
else
    give_up "neither openssl nor python3 is there to sign with"
fi
# A test vector of RFC 4231, so that a broken tool is not taken for a broken crate.
if [ "$(printf %s 'what do ya want for nothing?' | hmac Jefe)" != \
    5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843 ]; then
    give_up "the tool that signs computes no HMAC-SHA256"
fi
if ! command -v timeout >/dev/null; then timeout() { shift && "$@"; }; fi

# What the caller's shell has set is not what is tested here.
unset ADDR SLOW_MS CASPAY_WEBHOOK_SECRET CASPAY_WEBHOOK_SECRET_PREVIOUS
unset CASAPAY_WEBHOOK_SECRET CASAPAY_WEBHOOK_SECRET_PREVIOUS PROVIDERS PROVIDER_API SECRETS_DIR
for variable in $(compgen -e); do
    case $variable in *_WEBHOOK_SECRET | *_SIGNING_SEED | *_PUBLIC_URL | *_VERIFY_TOKEN) unset "$variable" ;; esac
done

### Build all; run those that check themselves.

cargo build --locked --all-features --examples --bins --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' >"$work/programs"
receiver= cli= twilio= sendgrid= postgres= sqlite= redis= provider=
while read -r program; do
    case $(basename "$program" .exe) in
    receiver) receiver=$program ;;
    tower-webhook) cli=$program ;;
    twilio) twilio=$program ;;
    sendgrid) sendgrid=$program ;;
    postgres) postgres=$program ;;
    sqlite) sqlite=$program ;;
    redis) redis=$program ;;
    provider) provider=$program ;;
    *)
        if timeout 60 "$program" >"$work/program" 2>&1; then
            passed "$(basename "$program") runs to its end"
        else
            failed "$(basename "$program") exited with $?"
            sed 's/^/      /' "$work/program"
        fi
        ;;
    esac
done <"$work/programs"
[ -n "$receiver" ] && [ -n "$cli" ] && [ -n "$twilio" ] && [ -n "$sendgrid" ] || give_up "the examples were not built"

### Tools for what follows.

# wait_for TEXT: until the receiver has printed it.
wait_for() {
    for _ in $(seq 400); do
        if grep -qF -- "$1" "$work/out"; then return; fi
        kill -0 "$pid" 2>/dev/null || give_up "the receiver ended before it printed: $1"
        sleep 0.05
    done
    give_up "the receiver did not print: $1"
}

# start_with NAME [VARIABLE=VALUE].. : a receiver on a free port, its address in $base. NAME is the last of its providers.
start_with() {
    local last=$1
    shift
    : >"$work/out"
    env ADDR=127.0.0.1:0 "$@" "$receiver" >"$work/out" 2>"$work/err" &
    pid=$!
    # The last thing it prints at start-up.
    wait_for "webhooks/$last -H"
    base=$(sed -n 's/^listening on //p' "$work/out")
}

# start_code PROGRAM [VARIABLE=VALUE].. : a receiver that verifies by code, its address in $base.
start_code() {
    local program=$1
    shift
    : >"$work/out"
    env ADDR=127.0.0.1:0 "$@" "$program" >"$work/out" 2>"$work/err" &
    pid=$!
    wait_for 'listening on '
    base=$(sed -n 's/^listening on //p' "$work/out")
}

start() { start_with casapay "$@"; }

# stop: SIGTERM, and a clean exit.
stop() {
    local code=0
    kill -TERM "$pid"
    wait "$pid" || code=$?
    pid=
    if [ "$code" -eq 0 ]; then passed "$1"; else failed "$1: exit status $code"; fi
}

# status CURL-ARGUMENTS.. : the status alone. curl may complain of a connection that was closed on it.
status() { curl -sS --max-time 30 -o /dev/null -w '%{http_code}' "$@" 2>>"$work/err" || true; }

# expect WHAT STATUS REASON CURL-ARGUMENTS.. : the status, and the reason that the receiver prints for it.
expect() {
    local what=$1 want=$2 why=$3 before got
    shift 3
    before=$(wc -l <"$work/out")
    got=$(status "$@")
    if [ "$got" != "$want" ]; then
        failed "$what: $got instead of $want"
    elif ! tail -n +"$((before + 1))" "$work/out" | grep -F ": $want $why (" >/dev/null; then
        failed "$what: $got, but not because of $why"
    else
        passed "$what: $got $why"
        return
    fi
    tail -n +"$((before + 1))" "$work/out" | sed 's/^/      receiver: /'
}

caspay_secret=caspay-development-secret
casapay_secret=whsec_casapay-development-secret

# caspay WHAT STATUS REASON BODY CURL-ARGUMENTS.. : the body signed as CasPay does.
caspay() {
    local what=$1 want=$2 why=$3 body=$4
    shift 4
    expect "$what" "$want" "$why" "$base/webhooks/caspay" --data-raw "$body" \
        -H "x-caspay-signature: $(printf %s "$body" | hmac "$caspay_secret")" "$@"
}

# casapay WHAT STATUS REASON TIMESTAMP BODY CURL-ARGUMENTS.. : the body signed as CasaPay does, at a time.
casapay() {
    local what=$1 want=$2 why=$3 t=$4 body=$5
    shift 5
    expect "$what" "$want" "$why" "$base/webhooks/casapay" --data-raw "$body" \
        -H "X-CasaPay-Signature: t=$t,v1=$(printf %s "$t.$body" | hmac "$casapay_secret")" "$@"
}

payment() { # ID AMOUNT
    printf '{"id":"%s","type":"payment.completed","created":1700000000,"data":{"payment":%s}}' "$1" \
        '{"id":"pay_1","amount":'"$2"',"currency":"CSPR","status":"completed"}'
}
invoice() { # ID
    printf '{"id":"%s","type":"invoice.paid","data":{"object":{"id":"in_1","object":"invoice"}}}' "$1"
}

# sends WHAT EXIT-STATUS ARGUMENTS..
sends() {
    local what=$1 want=$2 code=0
    shift 2
    timeout 60 "$cli" send --text "$@" >"$work/sent" 2>&1 || code=$?
    if [ "$code" -eq "$want" ]; then
        passed "send: $what"
    else
        failed "send: $what: exit status $code instead of $want"
        sed 's/^/      /' "$work/sent"
    fi
}

# count TEXT: lines of the receiver that hold it.
count() { grep -cF -- "$1" "$work/out" || true; }

### Public secrets stay on loopback.

code=0
env ADDR=0.0.0.0:0 timeout 10 "$receiver" >"$work/out" 2>"$work/err" || code=$?
if [ "$code" -eq 1 ] && grep -qF 'CASPAY_WEBHOOK_SECRET must be set' "$work/err"; then
    passed "no public secret on 0.0.0.0"
else
    failed "a public secret on 0.0.0.0: exit status $code"
fi

### Every answer, with curl.

start
grep '^curl ' "$work/out" >"$work/printed"
while read -r line; do
    case $(bash -c "$line" 2>/dev/null || true) in
    'HTTP/1.1 200 '*) passed "the printed line: ${line%% -H *}" ;;
    *) failed "the printed line: $line" ;;
    esac
done <"$work/printed"

caspay 'valid' 200 handled "$(payment evt_1 100000000000)"
caspay 'again' 200 duplicate "$(payment evt_1 100000000000)"
caspay 'other bytes, same id' 200 duplicate "$(payment evt_1 7)"
caspay 'unknown type' 200 unhandled '{"id":"evt_2","type":"invented.yesterday","data":{}}'
caspay 'handler error' 503 handler_failed "$(payment evt_3 13)"
caspay 'handler error, retried' 503 handler_failed "$(payment evt_3 13)"
caspay 'handler error, mended' 200 handled "$(payment evt_3 7)"
caspay 'permanent error' 500 permanent "$(payment evt_4 14)"
caspay 'not JSON' 500 unreadable 'not JSON'
caspay 'two ids' 500 unreadable '{"id":"evt_5","id":"evt_6","type":"payment.completed","data":{}}'
caspay 'payload that does not fit' 500 unreadable '{"id":"evt_7","type":"payment.completed","data":{}}'
caspay 'two signatures' 401 duplicate_header "$(payment evt_8 7)" -H 'x-caspay-signature: 00'
caspay 'gzip' 415 encoded_body "$(payment evt_8 7)" -H 'content-encoding: gzip'
expect 'no signature' 401 missing_header "$base/webhooks/caspay" --data-raw "$(payment evt_8 7)"
expect 'wrong signature' 401 signature_mismatch "$base/webhooks/caspay" --data-raw "$(payment evt_8 7)" \
    -H "x-caspay-signature: $(printf %s "$(payment evt_8 8)" | hmac "$caspay_secret")"
expect 'no hexadecimal' 401 signature_mismatch "$base/webhooks/caspay" --data-raw "$(payment evt_8 7)" \
    -H 'x-caspay-signature: hello'
expect 'no pairs' 401 malformed_header "$base/webhooks/casapay" --data-raw "$(invoice evt_9)" \
    -H "x-casapay-signature: hello"
expect 'GET' 405 method_not_allowed "$base/webhooks/caspay"
expect 'health check beside the webhooks' 200 'not a webhook' "$base/health"
expect 'no such path' 404 'not a webhook' "$base/webhooks"

head -c 1048577 /dev/zero >"$work/large"
large=(--data-binary "@$work/large" -H "x-caspay-signature: $(hmac "$caspay_secret" <"$work/large")")
expect 'over 1 MiB, declared' 413 body_too_large "$base/webhooks/caspay" "${large[@]}"
expect 'over 1 MiB, chunked' 413 body_too_large "$base/webhooks/caspay" "${large[@]}" \
    -H 'transfer-encoding: chunked'
head -c 1048576 /dev/zero >"$work/large"
large=(--data-binary "@$work/large" -H "x-caspay-signature: $(hmac "$caspay_secret" <"$work/large")")
expect '1 MiB of no JSON' 500 unreadable "$base/webhooks/caspay" "${large[@]}" -H 'transfer-encoding: chunked'

now=$(date +%s)
casapay 'valid' 200 handled "$now" "$(invoice evt_1)"
casapay 'again, signed anew' 200 duplicate "$((now - 1))" "$(invoice evt_1)"
casapay 'an hour old' 401 timestamp_too_old "$((now - 3600))" "$(invoice evt_9)"
casapay 'just too old' 401 timestamp_too_old "$((now - 301))" "$(invoice evt_9)"
casapay 'an hour ahead' 401 timestamp_in_future "$((now + 3600))" "$(invoice evt_9)"
casapay 'timestamp with a leading zero' 401 malformed_timestamp "0$now" "$(invoice evt_9)"
expect 'the other provider' 401 missing_header "$base/webhooks/casapay" --data-raw "$(payment evt_8 7)" \
    -H "x-caspay-signature: $(printf %s "$(payment evt_8 7)" | hmac "$caspay_secret")"

### The same, many times, with `tower-webhook send`.

handled=$(count ': 200 handled (') duplicates=$(count ': 200 duplicate (')
sends 'one to caspay' 0 "$base/webhooks/caspay" --provider caspay
sends '300 to caspay, twice each' 0 "$base/webhooks/caspay" --provider caspay --count 300 --concurrency 8 --duplicate
sends '20 to casapay, of another type' 0 "$base/webhooks/casapay" --provider casapay --count 20 \
    --type payment_intent.succeeded
printf '{"id":"in_2","object":"invoice","amount":5}' >"$work/payload"
sends '20 to casapay, of one id' 0 "$base/webhooks/casapay" --provider casapay --count 20 --id evt_same \
    --data "$work/payload"
handled=$(($(count ': 200 handled (') - handled)) duplicates=$(($(count ': 200 duplicate (') - duplicates))
if [ "$handled" -eq 302 ] && [ "$duplicates" -eq 319 ]; then
    passed "302 events handled once, 319 redeliveries recognised"
else
    failed "$handled events instead of 302, $duplicates redeliveries instead of 319"
fi
for what in signature body missing; do
    sends "$what tampered with, caspay" 0 "$base/webhooks/caspay" --provider caspay --tamper "$what"
    sends "$what tampered with, casapay" 0 "$base/webhooks/casapay" --provider casapay --tamper "$what"
done
sends 'timestamp tampered with' 0 "$base/webhooks/casapay" --provider casapay --tamper timestamp
sends 'caspay signs no timestamp' 2 "$base/webhooks/caspay" --provider caspay --tamper timestamp
sends 'the wrong provider is an error' 1 "$base/webhooks/caspay" --provider casapay
stop 'SIGTERM while idle'

### Every preset, by name.

names=$("$cli" providers --json | tr '{' '\n' | sed -n 's/.*"name":"\([^"]*\)".*/\1/p' | paste -sd ,)
if [ "$(tr , '\n' <<<"$names" | wc -l)" -lt 60 ]; then failed "the names of the presets: $names"; fi
start_with "${names##*,}" PROVIDERS="$names"
for name in ${names//,/ }; do
    sends "$name" 0 "$base/webhooks/$name" --provider "$name"
    sends "$name, forged" 0 "$base/webhooks/$name" --provider "$name" --tamper signature
done
if [ "$(count ': 200 handled (')" -eq "$(tr , '\n' <<<"$names" | wc -l)" ]; then
    passed "every preset handed its event to the handler"
else
    failed "$(count ': 200 handled (') events were handled"
fi
stop 'SIGTERM, with every preset'
code=0
env ADDR=127.0.0.1:0 PROVIDERS=nobody timeout 10 "$receiver" >"$work/program" 2>&1 || code=$?
if [ "$code" -eq 1 ] && grep -qF 'there is no preset `nobody`' "$work/program"; then
    passed "an unknown preset is an error"
else
    failed "an unknown preset: exit status $code"
fi

### Secrets of one's own, and a handler that takes its time.

caspay_secret=caspay-secret-of-the-script
casapay_secret=whsec_casapay-secret-of-the-script
export CASPAY_WEBHOOK_SECRET=$caspay_secret CASAPAY_WEBHOOK_SECRET=$casapay_secret
start SLOW_MS=1500
if grep -qE '[0-9a-f]{64}' "$work/out"; then
    failed "a signature with one's own secret is printed"
else
    passed "no signature with one's own secret is printed"
fi
if command -v openssl >/dev/null; then
    sed -n '/^body=/,/^curl /p' "$work/out" >"$work/printed"
    if [ "$(bash "$work/printed" 2>/dev/null | grep -c '^HTTP/1.1 200')" -eq 2 ]; then
        passed "the printed commands, which sign by themselves"
    else
        failed "the printed commands, which sign by themselves"
    fi
fi

# in_background ID: a delivery whose handler has begun when this returns. Its status ends up in $work/ID.
in_background() {
    local body
    body=$(payment "$1" 7)
    status "$base/webhooks/caspay" --data-raw "$body" \
        -H "x-caspay-signature: $(printf %s "$body" | hmac "$caspay_secret")" >"$work/$1" &
    background=$!
    wait_for "handling payment.completed \"$1\""
}
# ends ID WHAT: waits for it.
ends() {
    wait "$background"
    if [ "$(cat "$work/$1")" = 200 ]; then passed "$2: 200"; else failed "$2: $(cat "$work/$1")"; fi
}

in_background evt_slow
caspay 'while the first is being handled' 503 in_flight "$(payment evt_slow 7)"
ends evt_slow 'the first'
caspay 'after the first' 200 duplicate "$(payment evt_slow 7)"

in_background evt_last
stop 'SIGTERM while a delivery is being handled'
ends evt_last 'that delivery'

### Verification by code.

# answers WHAT STATUS CURL-ARGUMENTS..
answers() {
    local what=$1 want=$2 got
    shift 2
    got=$(status "$@")
    if [ "$got" = "$want" ]; then passed "$what: $got"; else failed "$what: $got instead of $want"; fi
}

# The example of Twilio's documentation, with the signature that stands there.
start_code "$twilio" TWILIO_AUTH_TOKEN=an-auth-token-of-the-script PUBLIC_URL=https://mycompany.com/myapp.php
documented=(-H 'x-twilio-signature: RSOYDt4T1cUTdK1PDd93/VVr8B8=' "$base/webhooks/twilio?foo=1&bar=2"
    --data-raw 'CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212')
answers "twilio: another account's documented request" 401 "${documented[@]}"
if command -v openssl >/dev/null; then
    sign_twilio() { # MESSAGE
        printf %s "$1" | openssl dgst -sha1 -hmac an-auth-token-of-the-script -binary | openssl base64 -A
    }
    signature=$(sign_twilio 'https://mycompany.com/myapp.php?foo=1CallSidCA1CallStatuscompleted & done')
    for body in 'CallSid=CA1&CallStatus=completed+%26+done' 'CallStatus=completed%20%26%20done&CallSid=CA1'; do
        answers "twilio: $body" 200 "$base/webhooks/twilio?foo=1" --data-raw "$body" \
            -H "x-twilio-signature: $signature"
    done
    if [ "$(count 'Some("CA1") is Some("completed & done")')" -eq 1 ]; then
        passed "twilio: fields in another order are one event"
    else
        failed "twilio: the same fields were not handled once"
    fi
    answers 'twilio: another field' 401 "$base/webhooks/twilio?foo=1" --data-raw 'CallSid=CA2' \
        -H "x-twilio-signature: $signature"
    body='{"property": "value"}'
    query="bodySHA256=$(printf %s "$body" | openssl dgst -sha256 -r | cut -d ' ' -f 1)"
    json=(-H 'content-type: application/json'
        -H "x-twilio-signature: $(sign_twilio "https://mycompany.com:443/myapp.php?$query")")
    answers 'twilio: JSON, by its digest in the URL' 200 "$base/webhooks/twilio?$query" --data-raw "$body" "${json[@]}"
    answers 'twilio: other JSON' 401 "$base/webhooks/twilio?$query" --data-raw '{"property": "other"}' "${json[@]}"
fi
stop 'twilio: SIGTERM'
code=0
env PUBLIC_URL=/twilio TWILIO_AUTH_TOKEN=an-auth-token-of-the-script timeout 10 "$twilio" >"$work/out" 2>&1 || code=$?
if [ "$code" -eq 1 ]; then passed 'twilio: no URL that is none'; else failed "twilio: a URL that is none: $code"; fi

if command -v openssl >/dev/null; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/key.pem"
    public=$(openssl ec -in "$work/key.pem" -pubout -outform DER 2>/dev/null | openssl base64 -A)
    start_code "$sendgrid" SENDGRID_PUBLIC_KEY="$public"
    body='[{"event":"delivered","sg_event_id":"id-1"}]'
    # sendgrid WHAT STATUS TIMESTAMP BODY CURL-ARGUMENTS.. : the body above, signed at a time, and the one sent.
    sendgrid() {
        local what=$1 want=$2 t=$3 sent=$4 signature
        shift 4
        signature=$(printf %s "$t$body" | openssl dgst -sha256 -sign "$work/key.pem" | openssl base64 -A)
        answers "sendgrid: $what" "$want" "$base/webhooks/sendgrid" --data-raw "$sent" \
            -H "x-twilio-email-event-webhook-signature: $signature" \
            -H "x-twilio-email-event-webhook-timestamp: $t" "$@"
    }
    now=$(date +%s)
    sendgrid 'valid' 200 "$now" "$body"
    sendgrid 'signed anew' 200 "$((now + 1))" "$body"
    if [ "$(count 'id-1')" -eq 1 ]; then
        passed "sendgrid: a batch that is signed anew is one"
    else
        failed "sendgrid: a batch was not handled once"
    fi
    sendgrid 'another body' 401 "$now" '[]'
    sendgrid 'two days old' 401 "$((now - 172800))" "$body"
    sendgrid 'two timestamps' 401 "$now" "$body" -H "x-twilio-email-event-webhook-timestamp: $now"
    stop 'sendgrid: SIGTERM'
fi
code=0
env SENDGRID_PUBLIC_KEY=this-is-no-public-key timeout 10 "$sendgrid" >"$work/out" 2>&1 || code=$?
if [ "$code" -eq 1 ]; then passed 'sendgrid: no key that is none'; else failed "sendgrid: a key that is none: $code"; fi

### A provider to test against.

start_code "$provider" EVERY_MS=0
casapay_api=("$base/casapay/v1/webhook_endpoints" -H 'authorization: Bearer sk_live_public_key_of_the_simulator'
    -H 'content-type: application/json')
endpoint='{"url":"http://127.0.0.1:9/","enabled_events":["invoice.paid"]}'
answers 'provider: an endpoint' 200 "${casapay_api[@]}" -d "$endpoint"
answers 'provider: an endpoint without a URL' 400 "${casapay_api[@]}" -d '{"enabled_events":["invoice.paid"]}'
answers 'provider: no key' 401 "$base/casapay/v1/webhook_endpoints"
if [ "$(curl -sS "${casapay_api[@]}" | grep -c '"we_.*127.0.0.1:9')" -eq 1 ]; then
    passed 'provider: it is listed'
else
    failed 'provider: it is not listed'
fi
answers 'provider: an event' 200 "$base/_control/emit" \
    -d '{"platform":"casapay","type":"invoice.paid","payload":{"id":"in_1","object":"invoice"}}'
wait_for 'casapay invoice.paid evt_'
answers 'provider: a browser' 403 "$base/_control/pending" -H 'origin: http://127.0.0.1'
# What it prints is what clients take for a base URL.
base_url() { sed -n "s/^$1  *\(http[^ ]*\)\$/\1/p" "$work/out"; }
answers 'provider: the base URL of CasaPay' 401 "$(base_url CasaPay)/v1/webhook_endpoints"
answers 'provider: the base URL of Diddo' 401 "$(base_url Diddo)/webhook"
answers 'provider: the base URL of CasPay' 401 "$(base_url CasPay)/invented/webhooks" -d '{}'
stop 'provider: SIGTERM'

### Marks that last: each is sent 40 events twice, killed in between, and sent them once more.

# lasts NAME [VARIABLE=VALUE].. : expects that 40 payments are booked once each, which `booked` prints.
lasts() {
    local name=$1 program=${!1}
    shift
    start_code "$program" "$@"
    if "$cli" send "$base/webhooks/caspay" --provider caspay --count 40 --concurrency 8 --duplicate >"$work/sent" 2>&1; then
        passed "$name: 40 events twice"
    else
        failed "$name: 40 events twice"
        sed 's/^/      send: /' "$work/sent" | tail -n 5
    fi
    "$cli" send "$base/webhooks/caspay" --provider caspay --id evt_before >"$work/sent" 2>&1 || failed "$name: one more"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
    start_code "$program" "$@"
    if "$cli" send "$base/webhooks/caspay" --provider caspay --id evt_before >"$work/sent" 2>&1; then
        passed "$name: a duplicate after SIGKILL and a new start"
    else
        failed "$name: a duplicate after SIGKILL and a new start"
    fi
    stop "$name: SIGTERM"
    if [ "$(booked)" = 41 ]; then passed "$name: each is booked once"; else failed "$name: $(booked) instead of 41"; fi
}

booked() { sed -n 's/^stopped.*; \([0-9]*\) payments are booked$/\1/p' "$work/out"; }
lasts sqlite SHOP_DB="$work/shop.db"

# Two instances share one Redis: what one has handled is a duplicate at the other, also after a restart of Redis.
if command -v redis-server >/dev/null; then
    port=$((20000 + RANDOM % 10000))
    start_redis() {
        : >"$work/redis"
        redis-server --port "$port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes >"$work/redis" 2>&1 &
        redis_pid=$!
        for _ in $(seq 200); do
            if grep -qi 'ready to accept connections' "$work/redis"; then return; fi
            sleep 0.05
        done
        give_up 'redis: the server did not start'
    }
    secret=CASPAY_WEBHOOK_SECRET=a-secret-for-this-example
    send_to_redis() {
        if env "$secret" "$cli" send "$base/webhooks/caspay" --provider caspay --id evt_1 >"$work/sent" 2>&1; then
            passed "redis: $1"
        else
            failed "redis: $1"
        fi
    }
    start_redis
    start_code "$redis" "$secret" REDIS_URL="redis://127.0.0.1:$port/"
    send_to_redis 'an event'
    handled=$(count 'handled "evt_1"')
    stop 'redis: SIGTERM'
    kill -KILL "$redis_pid"
    wait "$redis_pid" 2>/dev/null || true
    start_redis
    start_code "$redis" "$secret" REDIS_URL="redis://127.0.0.1:$port/"
    send_to_redis 'the same event to another instance, after SIGKILL for Redis'
    handled=$((handled + $(count 'handled "evt_1"')))
    stop 'redis: SIGTERM'
    if [ "$handled" -eq 1 ]; then passed 'redis: it is handled once'; else failed "redis: handled $handled times"; fi
    kill -KILL "$redis_pid"
    wait "$redis_pid" 2>/dev/null || true
    redis_pid=
else
    printf 'SKIP  redis: its server is not installed\n'
fi

# The newest server programs of PostgreSQL, which Debian does not put on the PATH.
pg=$(command -v initdb >/dev/null && dirname "$(command -v initdb)" ||
    find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
if [ -n "$pg" ] && [ -x "$pg/initdb" ]; then
    # PostgreSQL refuses to run as root.
    data=$(mktemp -d)
    as_server=()
    if [ "$(id -u)" -eq 0 ]; then
        as_server=(setpriv --reuid postgres --regid postgres --clear-groups)
        chown postgres "$data"
    fi
    in_data() { (cd "$data" && "${as_server[@]}" "$@" >>"$work/pg" 2>&1); }
    stop_postgres() {
        in_data "$pg/pg_ctl" -D "$data/pg" -m immediate stop || true
        rm -rf "$data"
    }
    port=$((20000 + RANDOM % 10000))
    pg_stop=1
    if in_data "$pg/initdb" --no-sync --auth trust --username postgres -D "$data/pg" &&
        in_data "$pg/pg_ctl" -D "$data/pg" -w -l "$data/log" start \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data"; then
        url=postgres://postgres@127.0.0.1:$port/postgres
        lasts postgres DATABASE_URL="$url"
    else
        failed 'postgres: the server did not start'
        sed 's/^/      /' "$work/pg"
    fi
    stop_postgres
    pg_stop=
else
    printf 'SKIP  postgres: its server is not installed\n'
fi

### From zero to subscribed: the provider and a receiver that subscribes itself to it.

env ADDR=127.0.0.1:0 EVERY_MS=0 SPEED=10 "$provider" >"$work/provider" 2>&1 &
provider_pid=$!
for _ in $(seq 400); do
    if grep -q '^listening on ' "$work/provider"; then break; fi
    sleep 0.05
done
provider_url=$(sed -n 's/^listening on //p' "$work/provider")
[ -n "$provider_url" ] || give_up 'loop: the provider did not start'

control() { curl -sS -m 10 "$provider_url/_control/$1" -d "$2"; }
# emit PLATFORM TYPE PAYLOAD: the event's id.
emit() { control emit "{\"platform\":\"$1\",\"type\":\"$2\",\"payload\":$3}" | sed -n 's/.*"event":"\([^"]*\)".*/\1/p'; }
# the_provider TEXT: until it has printed it.
the_provider() {
    for _ in $(seq 400); do
        if grep -qF -- "$1" "$work/provider"; then return; fi
        sleep 0.05
    done
    give_up "loop: the provider did not print: $1"
}
# created TIMES WHAT: how often endpoints were created, at each of the three.
created() {
    local call got
    for call in 'casapay POST /v1/webhook_endpoints: 200' 'diddo POST /webhook: 201' 'caspay POST /invented/webhooks: 201'; do
        got=$(grep -cF "$call" "$work/provider" || true)
        if [ "$got" -eq "$1" ]; then passed "loop: $2: ${call%%:*}, $got in all"; else failed "loop: $2: $call, $got times"; fi
    done
}
loop=(PROVIDER_API="$provider_url" SECRETS_DIR="$work/secrets" SLOW_MS=300)
invoice_paid() { emit casapay invoice.paid '{"id":"in_1","object":"invoice"}'; }

start_code "$receiver" "${loop[@]}"
created 1 'the first start'
endpoint=$(sed -n 's/^# casapay: endpoint \(we_[^:]*\): created$/\1/p' "$work/out")
for event in "$(invoice_paid)" "$(emit diddo order.submitted '{}')" \
    "$(emit caspay payment.completed '{"payment":{"id":"pay_1","amount":7,"currency":"CSPR","status":"completed"}}')"; do
    wait_for "\"$event\""
done
for platform in casapay diddo caspay; do
    wait_for "POST /webhooks/$platform: 200 handled"
    passed "loop: $platform: subscribed, delivered, handled"
done

# The answer comes too late, so that the event comes again.
control schedule '{"platform":"casapay","schedule":"default","answer_timeout_ms":100}' >/dev/null
event=$(invoice_paid)
wait_for 'POST /webhooks/casapay: 200 duplicate'
if [ "$(count "\"$event\"")" -eq 1 ]; then
    passed 'loop: a redelivery is a duplicate'
else
    failed 'loop: a redelivery was handled again'
fi
control schedule '{"platform":"casapay","schedule":"default"}' >/dev/null

{ kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true
event=$(invoice_paid)
the_provider "$event to $endpoint, attempt 1: "
# By its other name.
start_code "$receiver" "${loop[@]}" ADDR="${base#http://}" PROVIDER_API="${provider_url/127.0.0.1/localhost}"
wait_for "\"$event\""
passed 'loop: an event of the pause comes after SIGKILL and a new start'
if grep -qxF "# casapay: endpoint $endpoint: unchanged" "$work/out"; then
    passed 'loop: the endpoint is found again'
else
    failed 'loop: the endpoint is not found again'
fi
created 1 'the second start'
stop 'loop: SIGTERM'

# A simulator that forgets: the secrets of before are of no use, and in nobody's way.
address=${provider_url#http://}
kill -TERM "$provider_pid"
wait "$provider_pid" 2>/dev/null || true
env ADDR="$address" EVERY_MS=0 "$provider" >"$work/provider" 2>&1 &
provider_pid=$!
the_provider 'listening on '
start_code "$receiver" "${loop[@]}" ADDR="${base#http://}"
created 1 'after the provider has forgotten'
if grep -qF "# $endpoint is gone; its secret is still accepted" "$work/out"; then
    passed 'loop: the secret that is left is named'
else
    failed 'loop: the secret that is left is not named'
fi
event=$(invoice_paid)
wait_for "\"$event\""
wait_for 'POST /webhooks/casapay: 200 handled'
passed 'loop: events arrive at the new endpoint'
stop 'loop: SIGTERM, the second'
chmod 755 "$work/secrets"
code=0
env ADDR=127.0.0.1:0 "${loop[@]}" timeout 10 "$receiver" >"$work/program" 2>&1 || code=$?
if [ "$code" -eq 1 ] && grep -qF 'others may enter' "$work/program"; then
    passed 'loop: no secrets where others may enter'
else
    failed "loop: a directory that others may enter: exit status $code"
fi
for url in http://192.0.2.1:4000 https://127.0.0.1:4000 127.0.0.1:4000 http://localhost.example:4000 http://localhost:x; do
    code=0
    env ADDR=127.0.0.1:0 PROVIDER_API="$url" timeout 10 "$receiver" >"$work/program" 2>&1 || code=$?
    if [ "$code" -eq 1 ] && grep -qF 'PROVIDER_API is the URL of' "$work/program"; then
        passed "loop: $url is no simulator"
    else
        failed "loop: $url: exit status $code"
    fi
done
kill -TERM "$provider_pid"
wait "$provider_pid" || failed 'loop: SIGTERM for the provider'
provider_pid=

if [ "$failures" -gt 0 ]; then
    printf '\n%s of the examples failed\n' "$failures"
    exit 1
fi
