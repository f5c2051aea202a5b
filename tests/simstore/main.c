/* main.c -- the simulator over quorate's store, its disk under the model's
 * eyes. */
#include "real.h"

int main(int argc, char **argv)
{
	sim_store = &real_store;
	sim_replay = "make sim-store";
	return sim_main(argc, argv);
}
