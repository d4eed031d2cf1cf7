"""case_real.py: real files with odd timing, and how long their pictures last.

The lengths are worked out by hand from what ffprobe says of packets: from the
first picture shown to the end of the last one, in house frames of 30000/1001.
"""
import os
from fractions import Fraction

from model import HOUSE, Want

LENGTHS = {
    "17_ts_pts_rollover_33bit.ts": 539,        # 432 pictures, 24 a second
    "18_ts_608_multichannel.ts": 181,          # 181, 30000/1001
    "19_ts_multi_sps_size_change.ts": 291,     # 1.400 to 11.050 s, and 1/15 s
    "23_iphone_hevc_dolbyvision_rot_elst.mp4": 77,  # edit of 1529/600 s, all pictures that begin in it
    "25_vfr_cursed_3026x1386.mp4": 262,        # 502589/57600 s, the last one 1.57 s
    "26_mov_neg_edit_vfr_slides.mov": 313,     # edit of 20786/1991 s
    "29_nasa_2video_2audio_sub.mp4": 390,      # 325, 25 a second (or 390, 30000/1001)
    "30_prores_4795fps_sar16-15.mov": 25,      # 40, 48000/1001
    "32_theora_15fps_400x300.ogv": 885,        # 443, 15 a second
    "33_mediarecorder_no_duration.webm": 148,  # up to 4.872 s, and 1001/15000 s
    "35_vp9_odd_161x121.webm": 30,             # 30, 29.97
    "36_av1_10bit_portrait_hdr10.mp4": 127,    # 127, 30000/1001
}


def real(folder):
    """Cases of all files in a folder; of one not in the table any length is right."""
    def make(path, length):
        any_picture = [(Fraction(0), None)]
        want = Want(any_picture, Fraction(length or 100000) / HOUSE, has_bursts=False,
                    tail=0 if length else 100000)
        return lambda _: (path, want)

    cases = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".tsv"):
            if name not in LENGTHS:
                print(f"# {name}: its length is not known here, any is taken")
            cases[name] = make(os.path.join(folder, name), LENGTHS.get(name))
    for name in sorted(set(LENGTHS) - set(cases)):
        print(f"# {name}: is not in {folder}")
    return cases
