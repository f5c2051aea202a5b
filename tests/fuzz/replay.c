/* replay.c -- the main of a target without libFuzzer: every file of a folder,
 * each in a block of its own size.  usage: replay_TARGET FOLDER */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static int one(const char *path)
{
	uint8_t *data = NULL;
	FILE *f = fopen(path, "rb");
	size_t len = 0;
	int rc = -1;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0)
		goto out;
	size = ftell(f);
	if (size < 0 || fseek(f, 0, SEEK_SET) != 0)
		goto out;
	len = (size_t)size;
	data = malloc(len == 0 ? 1 : len);
	if (data == NULL || fread(data, 1, len, f) != len)
		goto out;
	rc = LLVMFuzzerTestOneInput(data, len);
out:
	free(data);
	if (f != NULL)
		fclose(f);
	return rc;
}

int main(int argc, char **argv)
{
	const struct dirent *d;
	int n = 0;
	DIR *dir;

	if (argc != 2 || (dir = opendir(argv[1])) == NULL) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 2;
	}
	while ((d = readdir(dir)) != NULL) {
		char path[4096];

		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], d->d_name);
		/* the last line names the file that crashes it */
		fprintf(stderr, "%s\n", path);
		if (one(path) != 0) {
			fprintf(stderr, "could not be read\n");
			return 1;
		}
		n++;
	}
	closedir(dir);
	printf("%d\n", n);
	return n == 0;
}
