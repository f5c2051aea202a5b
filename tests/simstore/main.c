/* main.c -- the simulator over quorate's store, its disk under the model's
 * eyes. */
#include "real.h"

#include "base/log_event.h"

/* What a store says of the damage that was done to it is no news here. */
void log_event(enum event_name event, const char *fmt, ...)
{
	(void)event;
	(void)fmt;
}

int main(int argc, char **argv)
{
	sim_store = &real_store;
	sim_replay = "make sim-store";
	return sim_main(argc, argv);
}
