/* main.c -- the simulator, over its model of a disk. */
#include "sim.h"

int main(int argc, char **argv)
{
	return sim_main(argc, argv);
}
