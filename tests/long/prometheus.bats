# A real Prometheus scrapes a real channel, with the rules of examples/.
load ../lib
load ../service

setup() {
    rv_setup
    A=$(make_clip film.mov --clip 1 --frames 150)
    start_serve --house 320x180@30000/1001
    ctl start 1 "$A"
    curl -s --max-time 2 "$(url 1)" >/dev/null || [ $? -eq 28 ]
}

@test "promtool finds nothing but the name that was given to us" {
    curl -sf "http://$METRICS/metrics" >"$BATS_TEST_TMPDIR/metrics"
    # 3: it found something to say
    promtool check metrics <"$BATS_TEST_TMPDIR/metrics" \
        >"$BATS_TEST_TMPDIR/found" 2>&1 || [ $? -eq 3 ]
    assert_eq "$(grep -v decode_failure_count "$BATS_TEST_TMPDIR/found")" ""
    promtool check config "$ROOT/examples/prometheus/prometheus.yml"
    stop_serve
}

@test "Prometheus sees the channel ready and its frames counted" {
    local port
    port=$(free_port)
    sed -e "s/127.0.0.1:9308/$METRICS/" -e 's/5s/200ms/' \
        "$ROOT/examples/prometheus/prometheus.yml" >"$BATS_TEST_TMPDIR/p.yml"
    cp "$ROOT/examples/prometheus/alerts.yml" "$BATS_TEST_TMPDIR/"
    spawn prometheus prometheus --config.file="$BATS_TEST_TMPDIR/p.yml" \
        --storage.tsdb.path="$BATS_TEST_TMPDIR/p" \
        --web.listen-address="127.0.0.1:$port"
    prometheus=$PID
    ask() {
        curl -s "http://127.0.0.1:$port/api/v1/query" \
            --data-urlencode "query=$1" | jq -r '.data.result[0].value[1]'
    }
    wait_until '[ "$(ask retrovue_playout_channel_state)" = 2 ]' 20
    assert_eq "$(ask up)" 1
    assert_le 1 "$(ask retrovue_playout_frames_decoded_total)"
    assert_le 1 "$(ask 'count(ALERTS{alertname="ChannelInError"}) or vector(1)')"
    kill -TERM "$prometheus"
    status_within "$prometheus" 10
    stop_serve
}
