# Every cut of a plan is exact to the frame, at every house rate.
load ../lib
load ../service
load ../exact

setup() {
    rv_setup
    export PATH=$BIN:$PATH
}

# cuts RATE: fifty segments of 1 to 60 frames.
cuts() {
    export RETROVUE_RUN_DIR=$RUN
    check_cuts 7 50 60 "$1"
    assert_clean
}

@test "fifty random cuts at 23.976 lose and double no frame" { cuts 24000/1001; }
@test "fifty random cuts at 25 lose and double no frame" { cuts 25; }
@test "fifty random cuts at 29.97 lose and double no frame" { cuts 30000/1001; }
@test "fifty random cuts at 30 lose and double no frame" { cuts 30; }
@test "fifty random cuts at 50 lose and double no frame" { cuts 50; }
@test "fifty random cuts at 59.94 lose and double no frame" { cuts 60000/1001; }
@test "fifty random cuts at 60 lose and double no frame" { cuts 60; }
