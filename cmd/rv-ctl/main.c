/* rv-ctl: runs channels and talks to who does.  See rv-ctl(1). */
#include "ctl.h"

#include <string.h>

int main(int argc, char **argv)
{
    static char run[] = "rv-ctl run", serve[] = "rv-ctl serve";

    if (argc > 1 && strcmp(argv[1], "run") == 0) {
        argv[1] = run;
        return run_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "serve") == 0) {
        argv[1] = serve;
        return serve_main(argc - 1, argv + 1);
    }
    return client_main(argc, argv);
}
