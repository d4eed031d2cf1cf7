# codecs.bash: a file of each codec and container that a channel is likely to be
# given, eighteen in all.  Needs lib.
#
#     load lib; load codecs
#     make_codecs FOLDER

# coded NAME OPTION...: a second of a marked clip, coded so.
coded() {
    local name=$1
    shift
    ffmpeg -nostdin -v error -i "$SOURCE" -map_metadata -1 -fflags +bitexact \
        -flags:v +bitexact -flags:a +bitexact -threads 1 -g 8 "$@" "$CODED/$name"
}

# make_codecs FOLDER
make_codecs() {
    local CODED=$1 SOURCE
    mkdir -p "$CODED"
    SOURCE=$(make_clip source.nut --clip 9 --frames 25 --rate 25 --size 160x90 \
        --vcodec ffv1 --acodec pcm_s16le)
    coded a.mp4 -c:v libx264 -preset veryfast -c:a aac
    coded b.mkv -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=8 \
        -c:a libopus
    coded c.webm -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus
    coded d.ts -c:v mpeg2video -c:a mp2
    coded e.avi -c:v mpeg4 -c:a libmp3lame
    coded f.mov -c:v prores_ks -c:a pcm_s16le
    coded g.flv -c:v flv -ar 44100 -c:a libmp3lame
    coded h.ogg -c:v libtheora -c:a libvorbis
    coded i.png -frames:v 1
    ffmpeg -nostdin -v error -i "$SOURCE" -i "$CODED/i.png" -map 0:a -map 1:v \
        -c:a libmp3lame -c:v copy -disposition:v attached_pic "$CODED/j.mp3"
    coded k.mp4 -c:v libaom-av1 -cpu-used 8 -usage realtime -c:a aac
    coded l.wmv -c:v wmv2 -c:a wmav2
    coded m.gif -an
    coded n.mxf -c:v mpeg2video -c:a pcm_s16le
    coded o.dv -s 720x576 -pix_fmt yuv420p -c:v dvvideo -frames:v 10
    coded p.ts -c:v libx264 -preset veryfast -c:a ac3
    coded q.jpg -frames:v 1
    coded r.mkv -c:v ffv1 -c:a flac
}
