"""case_codecs.py: codecs and containers, every picture and every burst in place."""
from fractions import Fraction

from make import base, recode
from model import steady
from registry import case

PAL = Fraction(25)
NTSC = Fraction(30000, 1001)
SMALL = "-preset ultrafast -crf 18 -g 12"
# FFmpeg 5.1 writes Opus into Matroska earlier by its codec's delay of 6.5 ms
OPUS = dict(reach_ms=8, thin=[(Fraction(0), Fraction(1, 100))])

# name: (file's ending, words for ffmpeg[, members of Want])
NTSC_FILES = {
    "h264-aac-mp4": ("mp4", f"-c:v libx264 {SMALL} -bf 2 -c:a aac"),
    "h264-opengop-mkv": ("mkv", "-c:v libx264 -preset veryfast -g 12 -bf 3 -x264-params open-gop=1 -c:a aac"),
    "h264-opengop-ts": ("ts", "-c:v libx264 -preset veryfast -g 12 -bf 3 -x264-params open-gop=1 -c:a aac"),
    "h264-cavlc-refs-mp4": ("mp4", "-c:v libx264 -preset veryfast -refs 8 -bf 7 -g 60 -c:a aac"),
    "h264-longgop-mp4": ("mp4", "-c:v libx264 -preset ultrafast -g 500 -c:a aac"),
    "hevc-mp4": ("mp4", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=12:bframes=3 -c:a aac"),
    "hevc-opengop-mkv": ("mkv", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=16:bframes=4:open-gop=1 -c:a aac"),
    "hevc-opengop-ts": ("ts", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=16:bframes=4:open-gop=1 -c:a aac"),
    "vp8-webm": ("webm", "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -c:a libvorbis"),
    "vp8-altref-webm": ("webm", "-c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -b:v 1M -c:a libopus", OPUS),
    "vp9-webm": ("webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus", OPUS),
    "vp9-altref-webm": ("webm", "-c:v libvpx-vp9 -deadline good -cpu-used 5 -lag-in-frames 25 -b:v 1M -c:a libopus", OPUS),
    "vp9-mp4": ("mp4", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus"),
    "av1-mkv": ("mkv", "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 1M -c:a libopus", OPUS),
    "mpeg1-mpg": ("mpg", "-c:v mpeg1video -q:v 3 -bf 2 -c:a mp2", dict(reach_ms=20)),
    "mpeg2-mpg": ("mpg", "-c:v mpeg2video -q:v 3 -bf 2 -c:a mp2", dict(reach_ms=20)),
    "mpeg2-vob": ("vob", "-f vob -c:v mpeg2video -q:v 3 -bf 2 -c:a ac3"),
    "mpeg2-closedgop-ts": ("ts", "-c:v mpeg2video -q:v 3 -bf 2 -flags +cgop -sc_threshold 1000000000 -c:a mp2", dict(reach_ms=20)),
    "mpeg2-m2ts": ("m2ts", "-f mpegts -mpegts_m2ts_mode 1 -c:v mpeg2video -q:v 3 -c:a ac3"),
    "h264-m2ts-lpcm": ("m2ts", f"-f mpegts -mpegts_m2ts_mode 1 -c:v libx264 {SMALL} -c:a pcm_bluray"),
    "h264-ts-mp2": ("ts", f"-c:v libx264 {SMALL} -c:a mp2", dict(reach_ms=20)),
    "h264-ts-s302m": ("ts", f"-c:v libx264 {SMALL} -c:a s302m"),
    "mpeg2-mxf": ("mxf", "-c:v mpeg2video -q:v 3 -bf 2 -c:a pcm_s24le"),
    "h264-mxf": ("mxf", f"-c:v libx264 {SMALL} -pix_fmt yuv420p -c:a pcm_s16le"),
    "dnxhr-mov": ("mov", "-c:v dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p -c:a pcm_s16le"),
    "prores-mov": ("mov", "-c:v prores_ks -profile:v 0 -pix_fmt yuv422p10le -c:a pcm_s24le"),
    "prores4444-mov": ("mov", "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -c:a pcm_s16be"),
    "mjpeg-mov": ("mov", "-c:v mjpeg -q:v 3 -pix_fmt yuvj422p -c:a pcm_s16le"),
    "mjpeg-avi": ("avi", "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p -c:a pcm_s16le"),
    "mpeg4-avi-ac3": ("avi", "-c:v mpeg4 -q:v 3 -bf 0 -c:a ac3", dict(reach_ms=12)),
    "mpeg4-bframes-avi": ("avi", "-c:v mpeg4 -q:v 3 -bf 2 -c:a pcm_s16le"),
    "mpeg4-mp4": ("mp4", "-c:v mpeg4 -q:v 3 -bf 2 -c:a aac"),
    "wmv2-asf": ("wmv", "-c:v wmv2 -q:v 3 -c:a wmav2", dict(thin=[(Fraction(0), Fraction(1, 100))])),
    "flv1-flv": ("flv", "-c:v flv -q:v 3 -ar 44100 -c:a libmp3lame", dict(reach_ms=30)),
    "h264-flv": ("flv", f"-c:v libx264 {SMALL} -bf 2 -c:a aac", dict(reach_ms=25)),
    "rawvideo-avi": ("avi", "-c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le"),
    "raw-yuyv-avi": ("avi", "-c:v rawvideo -pix_fmt yuyv422 -c:a pcm_u8"),
    "raw-rgb-nut": ("nut", "-c:v rawvideo -pix_fmt rgb24 -c:a pcm_s32le"),
    "v210-mov": ("mov", "-c:v v210 -c:a pcm_s16le"),
    "ffv1-mkv": ("mkv", "-c:v ffv1 -level 3 -g 1 -c:a flac"),
    "ffv1-gop-mkv": ("mkv", "-c:v ffv1 -level 1 -g 30 -context 1 -c:a flac"),
    "huffyuv-avi": ("avi", "-c:v huffyuv -pix_fmt yuv422p -c:a pcm_s16le"),
    "utvideo-mkv": ("mkv", "-c:v utvideo -pix_fmt yuv420p -c:a alac"),
    "theora-ogg": ("ogv", "-c:v libtheora -q:v 9 -c:a libvorbis"),
    "cineform-mov": ("mov", "-s 320x192 -c:v cfhd -pix_fmt yuv422p10le -c:a pcm_s16le"),
    "jpeg2000-mov": ("mov", "-c:v jpeg2000 -q:v 3 -pix_fmt yuv420p -c:a pcm_s16le"),
    "png-mov": ("mov", "-c:v png -pix_fmt rgb24 -c:a pcm_s16le"),
    "qtrle-mov": ("mov", "-c:v qtrle -pix_fmt rgb24 -c:a pcm_s16le"),
    "h264-3gp": ("3gp", f"-c:v libx264 {SMALL} -c:a aac"),
    "h263-3gp": ("3gp", "-s 352x288 -c:v h263 -q:v 3 -c:a aac"),
    "snow-nut": ("nut", "-c:v snow -q:v 3 -pix_fmt yuv420p -c:a flac"),
    "dv-ntsc-mov": ("mov", "-vf scale=720:480 -pix_fmt yuv411p -c:v dvvideo -c:a pcm_s16le"),
    "dv-ntsc-dv": ("dv", "-vf scale=720:480 -pix_fmt yuv411p -c:v dvvideo -ac 2 -ar 48000 -c:a pcm_s16le"),
    "fmp4": ("mp4", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -movflags frag_keyframe+empty_moov+default_base_moof"),
    "fmp4-sidx": ("mp4", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -movflags frag_keyframe+dash+global_sidx"),
    "fmp4-tiny": ("mp4", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -movflags delay_moov -frag_duration 100000"),
    "hls": ("m3u8", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -f hls -hls_time 0.8 -hls_list_size 0"),
    "hls-fmp4": ("m3u8", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -f hls -hls_time 0.8 -hls_list_size 0 -hls_segment_type fmp4"),
    "dash": ("mpd", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -f dash -seg_duration 0.8"),
    "mp4-faststart": ("mp4", f"-c:v libx264 {SMALL} -bf 2 -c:a aac -movflags +faststart"),
}
SILENT_FILES = {
    "y4m": ("y4m", "-pix_fmt yuv420p -an"),
    "h264-raw": ("h264", f"-c:v libx264 {SMALL} -bf 2 -an -r 30000/1001"),
    "hevc-raw": ("hevc", "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=12 -an"),
    "mpeg2-raw": ("m2v", "-c:v mpeg2video -q:v 3 -bf 2 -an"),
    "ivf-vp9": ("ivf", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -an"),
    "no-audio-mp4": ("mp4", f"-c:v libx264 {SMALL} -bf 2 -an"),
}


def put(name, rate, count, ending, words, more):
    """Registers one."""
    @case(name)
    def _(folder):
        source = base(rate, count)
        return (recode(f"{folder}/{name}.{ending}", source, words),
                steady(rate, count, **more))


for key, row in NTSC_FILES.items():
    put(key, NTSC, 75, row[0], row[1], row[2] if len(row) > 2 else {})
for key, row in SILENT_FILES.items():
    put(key, NTSC, 75, row[0], row[1], {"bursts": None})
put("dv-pal-avi", PAL, 60, "avi", "-vf scale=720:576 -pix_fmt yuv420p -c:v dvvideo -c:a pcm_s16le", {})
put("d10-mxf", PAL, 60, "mxf", "-vf scale=720:608 -pix_fmt yuv422p -c:v mpeg2video -intra_vlc 1 "
    "-non_linear_quant 1 -g 1 -b:v 30M -minrate 30M -maxrate 30M -bufsize 1200k -rc_init_occupancy 1200k "
    "-qmin 1 -qmax 12 -flags +ildct+low_delay -dc 10 -ps 1 -top 1 -f mxf_d10 -c:a pcm_s16le", {})


@case("h264-intra-refresh")
def intra_refresh(folder):
    """No key picture but the first: a decoder that begins elsewhere recovers
    after a while, so a seek has to go back far enough."""
    path = recode(f"{folder}/refresh.mkv", base(), "-c:v libx264 -preset veryfast -bf 0 "
                  "-g 20 -x264-params intra-refresh=1 -c:a aac")
    return path, steady(NTSC, 75)
