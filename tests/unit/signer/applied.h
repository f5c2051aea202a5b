/* The replicated state machine on tables in memory: what the signer's own view
 * is compared with. */
#ifndef TESTS_SIGNER_APPLIED_H
#define TESTS_SIGNER_APPLIED_H

#include "ca/ca.h"

struct applied;
struct applied *applied_open(void);
void applied_close(struct applied *a);
/* Apply the next entry. */
enum ca_outcome applied_next(struct applied *a, struct span raw, char why[200]);
struct ca_view *applied_view(struct applied *a);

#endif
