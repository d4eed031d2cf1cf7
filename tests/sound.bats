#!/usr/bin/env bats
# Sound: mixed down by the book, gain to a tenth of a decibel, peaks limited,
# and the same samples wherever a decoder begins.

load lib
bats_require_minimum_version 1.5.0

H=64x36

# heard [CHANNELS [LINE]]: what rv-decode makes of $CLIP, as 16-bit PCM.
heard() {
    if [ $# -gt 1 ]; then
        printf '%s\n' "$2" | "$BIN/rv-decode" --nut --house "$H@25:48000:$1"
    else
        "$BIN/rv-decode" --nut --house "$H@25:48000:${1:-2}" "$CLIP"
    fi | ffmpeg -nostdin -v error -f nut -i - -map 0:a -f s16le -
}

# line GAIN-DB [MEMBERS]: a segment of $CLIP.
line() {
    printf '{"segment":"s","asset":"%s","gain_db":%s%s}\n' "$CLIP" "$1" "${2:+,$2}"
}

# tones LAYOUT CODEC EXT HZ...: a channel a tone of a quarter of full scale.
tones() {
    local layout=$1 codec=$2 hz all=''
    CLIP=$BATS_TEST_TMPDIR/tones.$3
    shift 3
    for hz; do all+="0.25*sin(2*PI*$hz*t)|"; done
    ffmpeg -nostdin -v error -y -f lavfi -i "aevalsrc=${all%|}:c=$layout:s=48000:d=2" \
        -c:a "$codec" "$CLIP"
}

# amplitudes CHANNELS ROW...: of the tones in each channel, to a hundredth.
amplitudes() {
    local channels=$1
    shift
    heard "$channels" | "$PYTHON" "$ROOT/tests/tones.py" "$channels" "${HZ[@]}" \
        >"$BATS_TEST_TMPDIR/got"
    printf '%s\n' "$@" | paste -d ' ' "$BATS_TEST_TMPDIR/got" - |
        awk '{ for (i = 1; i <= NF / 2; i++) { d = $i - $(i + NF / 2)
               if (d < -.002 || d > .002) { print "channel " NR ", tone " i ": " $i \
                   ", wanted " $(i + NF / 2); bad = 1 } } } END { exit bad || NR == 0 }' >&2
}

@test "5.1 and 7.1 are mixed down by ITU-R BS.775, without LFE" {
    local layout codec
    HZ=(310 530 710 90 970 1130)
    for layout in 5.1 '5.1(side)'; do
        for codec in pcm_s24le flac; do
            tones "$layout" $codec ${codec/pcm_s24le/wav} "${HZ[@]}"
            echo "$layout $codec" >&2
            amplitudes 2 ".25 0 .1768 0 .1768 0" "0 .25 .1768 0 0 .1768"
        done
    done
    HZ=(310 530 710 90 970 1130 1310 1510)
    tones 7.1 pcm_s16le wav "${HZ[@]}"
    amplitudes 2 ".25 0 .1768 0 .1768 0 .1768 0" "0 .25 .1768 0 0 .1768 0 .1768"
}

@test "mono, stereo and 5.1 go into any other house by ITU-R BS.775" {
    HZ=(310)
    tones mono pcm_s16le wav "${HZ[@]}"
    amplitudes 1 .25
    amplitudes 2 .1768 .1768
    HZ=(310 530)
    tones stereo pcm_s16le wav "${HZ[@]}"
    amplitudes 1 ".1768 .1768"
    amplitudes 6 ".25 0" "0 .25" "0 0" "0 0" "0 0" "0 0"
    HZ=(310 530 710 90 970 1130)
    tones 5.1 pcm_s16le wav "${HZ[@]}"
    amplitudes 6 ".25 0 0 0 0 0" "0 .25 0 0 0 0" "0 0 .25 0 0 0" "0 0 0 .25 0 0" \
        "0 0 0 0 .25 0" "0 0 0 0 0 .25"
}

# rms_db: of 16-bit stereo on standard input.
rms_db() {
    ffmpeg -nostdin -hide_banner -f s16le -ar 48000 -ac 2 -i - \
        -af astats=measure_perchannel=none -f null - 2>&1 |
        sed -n 's/.*RMS level dB: //p' | tail -1
}

@test "gain is exact to a tenth of a decibel" {
    local db got before
    CLIP=$BATS_TEST_TMPDIR/tone.wav
    ffmpeg -nostdin -v error -f lavfi -i "aevalsrc=0.1*sin(2*PI*997*t)|0.1*sin(2*PI*997*t):s=48000:d=2" "$CLIP"
    before=$(heard | rms_db)
    for db in -40 -12.3 -3 -0.1 0 0.1 5.5 17.2; do
        got=$(heard 2 "$(line $db)" | rms_db)
        awk -v a="$got" -v b="$before" -v db=$db 'BEGIN {
            d = a - b - db; exit !(a != "" && d < .1 && d > -.1) }' || {
            echo "$db dB: $before became $got" >&2
            return 1
        }
    done
}

# true_peak: in dBTP, of 16-bit stereo on standard input, as FFmpeg sees it.
true_peak() {
    ffmpeg -nostdin -hide_banner -f s16le -ar 48000 -ac 2 -i - \
        -af ebur128=peak=true -f null - 2>&1 |
        sed -n '/True peak/,$ s/.*Peak: *\([^ ]*\) dBFS/\1/p' | tail -1
}

@test "whatever comes in, true peaks stay below -1 dBTP" {
    local what db peak
    CLIP=$BATS_TEST_TMPDIR/loud.wav
    # the second one has its peaks between the samples, 3 dB over them
    for what in 'sin(2*PI*997*t)' 'min(20*t,1)*sin(2*PI*12000*t+PI/4)' 'sin(2*PI*40*t)' \
        '2*random(0)-1' 'sgn(sin(2*PI*220*t))' 'sin(2*PI*19000*t)*sin(2*PI*3*t)' \
        'gt(mod(t,0.3),0.29)*(2*random(0)-1)'; do
        ffmpeg -nostdin -v error -y -f lavfi -i "aevalsrc='$what|0.7*($what)':s=48000:d=3" "$CLIP"
        for db in 0 3 12 24; do
            peak=$(heard 2 "$(line $db)" | true_peak)
            echo "$what at $db dB: $peak dBTP" >&2
            assert_le "$peak" -1.0 "$what at $db dB"
            assert_le -4 "$peak" "$what at $db dB"
        done
    done
}

@test "sound that needs nothing comes out bit by bit" {
    CLIP=$BATS_TEST_TMPDIR/plain.wav
    ffmpeg -nostdin -v error -f lavfi \
        -i "aevalsrc=0.42*(2*random(0)-1)|0.85*sin(2*PI*440*t):s=48000:d=4" -c:a pcm_s16le "$CLIP"
    heard | cmp - <(ffmpeg -nostdin -v error -i "$CLIP" -f s16le -)
}

@test "a decoder that begins in the middle makes the same samples" {
    local codec ext n gain # (AAC with noise substitution, AC-3, MP2: their decoders dither)
    for codec in pcm_s16le:mov aac:mp4 aac:mkv flac:mkv; do
        ext=${codec#*:}
        CLIP=$BATS_TEST_TMPDIR/movement.$ext
        ffmpeg -nostdin -v error -y -f lavfi -i "testsrc2=s=$H:r=25:d=8" -f lavfi -i \
            "aevalsrc=(0.2+0.7*gt(mod(t\,0.9)\,0.8))*(sin(2*PI*(100+40*t)*t))|0.5*sin(2*PI*700*t)*gt(sin(3*t)\,0.3):s=48000:d=8" \
            -g 25 -c:v mpeg4 -c:a ${codec%:*} -b:a 256k -aac_pns 0 "$CLIP"
        for gain in 0 9; do
            heard 2 "$(line $gain)" >"$BATS_TEST_TMPDIR/whole"
            for n in 1 12 23 50 101 160; do
                heard 2 "$(line $gain "\"skip\":$n,\"frames\":180")" >"$BATS_TEST_TMPDIR/part"
                echo "$codec at $gain dB from frame $n" >&2
                cmp <(tail -c +$((n * 1920 * 4 + 1)) "$BATS_TEST_TMPDIR/whole" |
                    head -c $(((180 - n) * 7680))) "$BATS_TEST_TMPDIR/part"
            done
        done
    done
}
