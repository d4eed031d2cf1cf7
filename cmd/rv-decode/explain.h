/* explain: what rv-decode would do to files, for people or as JSON. */
#ifndef RV_DECODE_EXPLAIN_H
#define RV_DECODE_EXPLAIN_H

#include "media/explain.h"

/*
 * All files, one after the other, onto standard output; `config` says all but
 * which file and house.  -1: one of them cannot be played, or it was stopped.
 */
int explain_files(char *const *files, int count, bool is_json,
                  const struct house *house,
                  const struct explain_config *config, struct err *err);

#endif
