# Long and many cuts, exact to the frame.
# timeout: 900
load ../lib
load ../service
load ../exact

setup() {
    rv_setup
    export PATH=$BIN:$PATH
}

# Segments of up to 400 frames at every rate, and a new dice each day.
@test "fifty segments of 1 to 400 frames at every house rate" {
    export RETROVUE_RUN_DIR=$RUN
    local rate seed
    seed=$(date +%j)
    echo "seed $seed"
    for rate in 24000/1001 25 30000/1001 30 50 60000/1001 60; do
        check_cuts "$seed" 50 400 "$rate"
        assert_clean
    done
}
