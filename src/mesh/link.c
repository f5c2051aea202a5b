/* link.c -- the sending side: dial, greet, write; and again when it breaks.
 * It speaks SP over TCP as a PUSH socket does: eight bytes of greeting each
 * way, then frames of a 64-bit length and the message. */
#include "mesh/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"

#define RECONNECT_MIN_MS 50
#define RECONNECT_MAX_MS 500
#define DIAL_MS 1000 /* each of: resolving and connecting, both greetings */
/* A connection is dropped when nothing could be written for so long, or when
 * we write and hear nothing from the peer: after a partition a new connection
 * works at once, where the old one waits for TCP's back-off. */
#define STALL_MS 3000
#define SILENCE_MS 3000

static const size_t room[MESH_CHANNELS] = {
    [MESH_MESSAGES] = MESH_SEND_MESSAGES,
    [MESH_SNAPSHOTS] = MESH_SEND_CHUNKS,
};
_Static_assert(MESH_SEND_CHUNKS <= MESH_SEND_MESSAGES, "one array for both");

/* NUL S P, version 0, protocol, reserved */
static const uint8_t greeting_push[8] = {0, 'S', 'P', 0, 0, 0x50, 0, 0};
static const uint8_t greeting_pull[8] = {0, 'S', 'P', 0, 0, 0x51, 0, 0};

/* The port after the last colon, or 0. */
static uint16_t port_of(struct span address, size_t *host_len)
{
	uint32_t port = 0;
	size_t i = address.len;

	while (i > 0 && isdigit(address.p[i - 1]))
		i--;
	if (i < 2 || address.p[i - 1] != ':' || address.len - i > 5)
		return 0;
	*host_len = i - 1;
	for (; i < address.len; i++)
		port = port * 10 + (uint32_t)(address.p[i] - '0');
	return port < 65535 ? (uint16_t)port : 0;
}

enum code mesh_address_check(struct span address, struct err *e)
{
	static const char marks[] = "-._:[]";
	size_t host_len;

	if (address.len > MESH_ADDRESS_MAX || port_of(address, &host_len) == 0)
		return err_set(e, E_INVAL, "a mesh address is host:port");
	for (size_t i = 0; i < host_len; i++)
		if (!isalnum(address.p[i]) &&
		    memchr(marks, address.p[i], sizeof(marks) - 1) == NULL)
			return err_set(
			    e, E_INVAL, "a mesh address has no such host");
	return E_OK;
}

/* ---- The queue; with the lock held ---- */

static void tell(struct lane *lane, bool *what)
{
	struct mesh *m = lane->link->mesh;

	*what = true;
	m->link_events = true;
	mesh_signal(m);
}

static bool queue_put(struct lane *lane, struct frame f)
{
	if (lane->count == lane->room)
		return false;
	lane->queue[(lane->head + lane->count++) % lane->room] = f;
	return true;
}

static bool queue_take(struct lane *lane, struct frame *out)
{
	if (lane->count == 0)
		return false;
	*out = lane->queue[lane->head];
	lane->head = (lane->head + 1) % lane->room;
	lane->count--;
	return true;
}

static void queue_clear(struct lane *lane)
{
	struct frame f;

	while (queue_take(lane, &f))
		free(f.p);
}

/* ---- Making a connection: work's callback ---- */

static void work_iov(struct lane *lane, void *p, size_t len)
{
	nng_iov iov = {.iov_buf = p, .iov_len = len};

	/* fails only for more than eight pieces */
	(void)nng_aio_set_iov(lane->work, 1, &iov);
}

static void work_dial(struct lane *lane)
{
	lane->step = LANE_DIAL;
	nng_aio_set_timeout(lane->work, DIAL_MS);
	nng_stream_dialer_dial(lane->dialer, lane->work);
}

static void work_greet(struct lane *lane)
{
	lane->step = LANE_GREET;
	memcpy(lane->greeting, greeting_push, sizeof(lane->greeting));
	work_iov(lane, lane->greeting, sizeof(lane->greeting));
	nng_stream_send(lane->stream, lane->work);
}

static void work_hear(struct lane *lane)
{
	lane->step = LANE_HEAR;
	work_iov(lane, lane->greeting + lane->greeted,
	    sizeof(lane->greeting) - lane->greeted);
	nng_stream_recv(lane->stream, lane->work);
}

static void work_retry(struct lane *lane)
{
	nng_duration half = lane->backoff / 2;

	if (lane->stream != NULL) {
		nng_stream_close(lane->stream);
		nng_stream_free(lane->stream);
		lane->stream = NULL;
	}
	if (lane->backoff < RECONNECT_MAX_MS)
		lane->backoff *= 2;
	lane->step = LANE_SLEEP;
	nng_sleep_aio(
	    half + (nng_duration)(random_u64() % (uint64_t)(half + 1)),
	    lane->work);
}

/* The last act of work: from here on `in` may hand the lane back to it. */
static void work_done(struct lane *lane)
{
	struct mesh *m = lane->link->mesh;
	nng_iov iov = {lane->stray, sizeof(lane->stray)};
	bool closing;

	lane->backoff = RECONNECT_MIN_MS;
	(void)nng_aio_set_iov(lane->in, 1, &iov);
	pthread_mutex_lock(&m->lock);
	closing = lane->closing;
	if (!closing) {
		lane->up = true;
		lane->fell = lane->told_gone = false;
		lane->receiving = true;
		lane->up_ms = clock_mono_ms();
		tell(lane, &lane->told_up);
	}
	pthread_mutex_unlock(&m->lock);
	if (!closing)
		nng_stream_recv(lane->stream, lane->in);
}

static void work_heard(struct lane *lane, size_t n)
{
	lane->greeted += n;
	if (n > 0 && lane->greeted < sizeof(lane->greeting))
		work_hear(lane);
	else if (n > 0 && memcmp(lane->greeting, greeting_pull,
			      sizeof(lane->greeting)) == 0)
		work_done(lane);
	else
		work_retry(lane);
}

static void work_refused(struct lane *lane)
{
	struct mesh *m = lane->link->mesh;

	pthread_mutex_lock(&m->lock);
	if (lane->fell)
		tell(lane, &lane->told_gone);
	lane->fell = false;
	pthread_mutex_unlock(&m->lock);
	work_retry(lane);
}

static bool is_closing(struct lane *lane)
{
	struct mesh *m = lane->link->mesh;
	bool closing;

	pthread_mutex_lock(&m->lock);
	closing = lane->closing;
	pthread_mutex_unlock(&m->lock);
	return closing;
}

static void on_work(void *arg)
{
	struct lane *lane = arg;
	int rv = nng_aio_result(lane->work);

	if (rv == 0 && lane->step == LANE_DIAL) {
		lane->stream = nng_aio_get_output(lane->work, 0);
		/* On an aio that has slept nng 1.5.2 calls a time-out 0. */
		if (lane->stream == NULL)
			rv = NNG_ETIMEDOUT;
	}
	if (is_closing(lane))
		return;
	if (lane->step == LANE_SLEEP) {
		work_dial(lane);
	} else if (rv == NNG_ECONNREFUSED && lane->step == LANE_DIAL) {
		work_refused(lane);
	} else if (rv != 0) {
		work_retry(lane);
	} else if (lane->step == LANE_DIAL) {
		work_greet(lane);
	} else if (lane->step == LANE_GREET) {
		lane->greeted = 0;
		if (nng_aio_count(lane->work) == sizeof(lane->greeting))
			work_hear(lane);
		else
			work_retry(lane);
	} else {
		work_heard(lane, nng_aio_count(lane->work));
	}
}

/* ---- A connection that stands: the callbacks of in and out ---- */

/* The caller's flag kept the stream alive; the last one lets it go. */
static void lane_break(struct lane *lane, bool *mine)
{
	struct mesh *m = lane->link->mesh;
	bool again;

	nng_stream_close(lane->stream);
	pthread_mutex_lock(&m->lock);
	*mine = false;
	if (lane->up) {
		lane->up = false;
		lane->fell = true;
		lane->told_up = false;
		tell(lane, &lane->told_down);
	}
	m->stats.send_dropped += lane->count;
	metric_add(M_mesh_dropped, lane->count);
	queue_clear(lane);
	again = !lane->sending && !lane->receiving && !lane->closing;
	pthread_mutex_unlock(&m->lock);
	if (again)
		work_retry(lane);
}

/* A PULL socket sends nothing: whatever comes is the end. */
static void on_in(void *arg)
{
	struct lane *lane = arg;

	lane_break(lane, &lane->receiving);
}

static void transmit(struct lane *lane)
{
	nng_iov iov = {.iov_buf = lane->current.p + lane->done,
	    .iov_len = lane->current.len - lane->done};

	(void)nng_aio_set_iov(lane->out, 1, &iov);
	nng_aio_set_timeout(lane->out, STALL_MS);
	nng_stream_send(lane->stream, lane->out);
}

/* The current frame is out: go on, or rest, or find the connection gone. */
static void next_frame(struct lane *lane)
{
	struct mesh *m = lane->link->mesh;
	bool up, more;

	lane->done = 0;
	pthread_mutex_lock(&m->lock);
	up = lane->up;
	more = up && queue_take(lane, &lane->current);
	if (up && !more)
		lane->sending = false;
	pthread_mutex_unlock(&m->lock);
	if (more)
		transmit(lane);
	else if (!up)
		lane_break(lane, &lane->sending);
}

static void on_out(void *arg)
{
	struct lane *lane = arg;
	int rv = nng_aio_result(lane->out);

	if (rv == 0)
		lane->done += nng_aio_count(lane->out);
	if (rv == 0 && lane->done < lane->current.len) {
		transmit(lane);
		return;
	}
	free(lane->current.p);
	lane->current = (struct frame){0};
	if (rv != 0)
		lane_break(lane, &lane->sending);
	else
		next_frame(lane);
}

enum code mesh_lane_send(struct lane *lane, struct frame f, uint64_t heard_ms)
{
	struct mesh *m = lane->link->mesh;
	enum code rc = E_OK;
	bool start = false, silent = false;

	pthread_mutex_lock(&m->lock);
	if (heard_ms < lane->up_ms)
		heard_ms = lane->up_ms;
	if (!lane->up) {
		rc = E_UNAVAILABLE;
	} else if (clock_mono_ms() > heard_ms + SILENCE_MS) {
		silent = true;
		rc = E_UNAVAILABLE;
	} else if (!lane->sending) {
		start = lane->sending = true;
		lane->current = f;
	} else if (!queue_put(lane, f)) {
		tell(lane, &lane->told_down);
		rc = E_EXHAUSTED;
	}
	pthread_mutex_unlock(&m->lock);
	if (start)
		transmit(lane);
	if (silent)
		nng_aio_abort(lane->in, NNG_ETIMEDOUT);
	if (rc != E_OK)
		free(f.p);
	return rc;
}

/* ---- Life ---- */

static int lane_dialer(struct lane *lane)
{
	struct span address = span_str(lane->link->address);
	char url[MESH_ADDRESS_MAX + sizeof("tcp://:65535")];
	size_t host_len = 0;
	uint16_t port = port_of(address, &host_len);
	bool yes = true;
	int rv;

	snprintf(url, sizeof(url), "tcp://%.*s:%d", (int)host_len,
	    lane->link->address, port + (int)lane->channel);
	if ((rv = nng_stream_dialer_alloc(&lane->dialer, url)) != 0 ||
	    (rv = nng_stream_dialer_set(
		 lane->dialer, NNG_OPT_TCP_NODELAY, &yes, sizeof(yes))) != 0)
		return rv;
	return nng_stream_dialer_set(
	    lane->dialer, NNG_OPT_TCP_KEEPALIVE, &yes, sizeof(yes));
}

static enum code lane_open(struct lane *lane, struct err *e)
{
	int rv;

	lane->room = room[lane->channel];
	lane->backoff = RECONNECT_MIN_MS;
	if ((rv = lane_dialer(lane)) != 0 ||
	    (rv = nng_aio_alloc(&lane->work, on_work, lane)) != 0 ||
	    (rv = nng_aio_alloc(&lane->out, on_out, lane)) != 0 ||
	    (rv = nng_aio_alloc(&lane->in, on_in, lane)) != 0)
		return mesh_nng_error(e, rv, lane->link->address);
	work_dial(lane);
	return E_OK;
}

static void aio_end(nng_aio *aio)
{
	if (aio != NULL)
		nng_aio_stop(aio);
}

static void aio_free(nng_aio *aio)
{
	if (aio != NULL)
		nng_aio_free(aio);
}

/* Every aio is at rest before anything it uses goes. */
static void lane_close(struct lane *lane)
{
	struct mesh *m = lane->link->mesh;

	pthread_mutex_lock(&m->lock);
	lane->closing = true;
	pthread_mutex_unlock(&m->lock);
	aio_end(lane->work);
	aio_end(lane->out);
	aio_end(lane->in);
	if (lane->stream != NULL) {
		nng_stream_close(lane->stream);
		nng_stream_free(lane->stream);
	}
	if (lane->dialer != NULL) {
		nng_stream_dialer_close(lane->dialer);
		nng_stream_dialer_free(lane->dialer);
	}
	aio_free(lane->work);
	aio_free(lane->out);
	aio_free(lane->in);
	free(lane->current.p);
	queue_clear(lane);
}

/* Its callback tries again; where nothing is under way, nothing happens. */
void mesh_lane_hurry(struct lane *lane)
{
	nng_aio_cancel(lane->work);
}

static void link_free(struct link *l)
{
	for (int c = 0; c < MESH_CHANNELS; c++)
		if (l->lanes[c].link != NULL)
			lane_close(&l->lanes[c]);
	free(l);
}

enum code mesh_link_open(struct mesh *m, uint64_t peer, struct span address,
    struct link **out, struct err *e)
{
	struct link *l = calloc(1, sizeof(*l));
	enum code rc;

	if (l == NULL)
		return err_nomem(e);
	l->mesh = m;
	l->peer = peer;
	memcpy(l->address, address.p, address.len);
	for (int c = 0; c < MESH_CHANNELS; c++) {
		l->lanes[c].link = l;
		l->lanes[c].channel = (enum mesh_channel)c;
		if ((rc = lane_open(&l->lanes[c], e)) != E_OK) {
			link_free(l);
			return rc;
		}
	}
	l->next = m->links;
	m->links = l;
	*out = l;
	return E_OK;
}

void mesh_link_close(struct link *l)
{
	struct link **at;

	if (l == NULL)
		return;
	for (at = &l->mesh->links; *at != l;)
		at = &(*at)->next;
	*at = l->next;
	link_free(l);
}
