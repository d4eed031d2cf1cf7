/*
 * ctl: the verbs of rv-ctl.  Each has a main of its own; argv[0] is what its
 * usage shows ("rv-ctl serve").
 */
#ifndef RV_CTL_CTL_H
#define RV_CTL_CTL_H

int run_main(int argc, char **argv);
int serve_main(int argc, char **argv);
/* start, update, stop, load, switch, status, version, clock. */
int client_main(int argc, char **argv);

#endif
