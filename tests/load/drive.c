/* drive.c -- what each stream asks next, when it tries again, and when all is
 * done.  Connections are dialled from timers only, so nothing here recurses. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "load.h"

#define AFTER_FAILURE_MS 50 /* where no --retry-ms says otherwise */
#define TICK_MS 50

static void arm(struct event *timer, uint64_t ms)
{
	const struct timeval tv = {
	    (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};

	event_add(timer, &tv);
}

static uint64_t failure_ms(const struct load *l)
{
	return l->o.retry_ms > 0 ? l->o.retry_ms : AFTER_FAILURE_MS;
}

/* ---- Requests ---- */

static bool may_begin(const struct load *l)
{
	return !l->stopping &&
	       (l->o.count == 0 || l->books.started < l->o.count);
}

static void begin(struct call *call)
{
	struct load *l = call->conn->load;
	uint64_t n = l->books.started++;

	call->open = true;
	call->begun_us = clock_mono_us();
	call->csr = &l->csrs[n % l->o.csrs];
	call->token = l->o.tokens[n % l->o.tokens_n];
	l->open_calls++;
}

static void finish_if_done(struct load *l)
{
	if (l->open_calls == 0 && !may_begin(l))
		event_base_loopbreak(l->base);
}

static void end(struct call *call)
{
	call->open = false;
	call->conn->load->open_calls--;
}

/* Take up the call's request, or a new one; what can be sent is submitted, and
 * goes out with the connection's next flush. */
static void want(struct call *call)
{
	struct conn *c = call->conn;

	if (!call->open) {
		if (!may_begin(c->load)) {
			call->state = CALL_IDLE;
			finish_if_done(c->load);
			return;
		}
		begin(call);
	}
	call->state = CALL_READY;
	if (c->state == CONN_OPEN && !c->leaving && !c->broken) {
		if (!conn_submit(c, call))
			c->leaving = c->failed = true;
	} else if (c->state == CONN_CLOSED &&
		   !evtimer_pending(c->timer, NULL)) {
		arm(c->timer, 0);
	}
}

static void want_after(struct call *call, uint64_t ms)
{
	if (ms == 0) {
		want(call);
		return;
	}
	call->state = CALL_WAITING;
	arm(call->timer, ms);
}

static void on_call_timer(evutil_socket_t fd, short what, void *arg)
{
	struct call *call = arg;

	(void)fd;
	(void)what;
	want(call);
	conn_flush(call->conn);
}

static void give_up(struct call *call)
{
	call->conn->load->books.given_up++;
	end(call);
}

/* The statuses that Istio's clients retry (pkg/security/retry.go). */
static bool is_passing(int status)
{
	return status == 1 || status == 4 || status == 8 || status == 10 ||
	       status == 13 || status == 14;
}

static void failed(struct call *call, bool passing)
{
	struct load *l = call->conn->load;

	if (l->o.retry_ms == 0 || !passing || l->stopping)
		give_up(call);
	want_after(call, failure_ms(l));
}

/* ---- What conn.c tells ---- */

void drive_ready(struct conn *c)
{
	for (size_t i = 0; i < c->calls_n; i++)
		if (c->calls[i].state == CALL_READY)
			want(&c->calls[i]);
}

static void succeeded(struct call *call)
{
	struct load *l = call->conn->load;
	struct leaf leaf;

	if (!leaf_take(&leaf, buf_span(&call->answer), call->csr)) {
		l->books.wrong++;
		give_up(call);
	} else {
		books_acknowledge(&l->books, &leaf,
		    &l->o.servers[call->conn->server], call->begun_us);
		end(call);
	}
	want_after(call, l->o.pause_ms);
}

void drive_answered(struct call *call, bool refused)
{
	struct conn *c = call->conn;
	struct books *b = &c->load->books;

	if (c->load->o.fresh)
		c->leaving = true;
	if (call->status == 0) {
		succeeded(call);
		return;
	}
	if (call->status > 0)
		books_status(b, call->status);
	else if (refused)
		b->refused++;
	else
		b->unknown++;
	if (call->status < 0 || call->status == 14)
		c->leaving = c->failed = true;
	failed(call, call->status < 0 || is_passing(call->status));
}

/* A stream that is paused needs no fresh connection yet. */
static bool is_wanted(const struct conn *c)
{
	for (size_t i = 0; i < c->calls_n; i++)
		if (c->calls[i].state == CALL_READY ||
		    (c->calls[i].state == CALL_WAITING && !c->load->o.fresh))
			return true;
	return false;
}

void drive_closed(struct conn *c, bool was_open)
{
	struct load *l = c->load;
	bool on = !was_open || c->broken || c->failed;

	if (!was_open)
		l->books.unreachable++;
	for (size_t i = 0; i < c->calls_n; i++)
		if (c->calls[i].state == CALL_FLYING) {
			on = true;
			l->books.unknown++;
			failed(&c->calls[i], true);
		}
	if (on)
		c->server = (c->server + 1) % l->o.servers_n;
	if (is_wanted(c))
		arm(c->timer, on ? failure_ms(l) : 0);
}

/* ---- Timers and the end ---- */

static void on_conn_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CONN_CLOSED)
		conn_open(c);
	else
		conn_close(c); /* no handshake in time */
}

static bool is_late(const struct conn *c, uint64_t now)
{
	for (size_t i = 0; i < c->calls_n; i++)
		if (c->calls[i].state == CALL_FLYING &&
		    now - c->calls[i].flying_us > c->load->o.answer_ms * 1000)
			return true;
	return false;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct load *l = arg;
	uint64_t now = clock_mono_us();

	(void)fd;
	(void)what;
	for (size_t i = 0; i < l->conns_n; i++)
		if (l->conns[i].state == CONN_OPEN &&
		    is_late(&l->conns[i], now))
			conn_close(&l->conns[i]);
	if (l->o.seconds > 0 && !l->stopping &&
	    now - l->books.begin_us >= l->o.seconds * 1000000)
		drive_stop(l);
}

void drive_stop(struct load *l)
{
	l->stopping = true;
	l->books.end_us = clock_mono_us();
	for (size_t i = 0; i < l->conns_n; i++) {
		struct conn *c = &l->conns[i];

		for (size_t j = 0; j < c->calls_n; j++) {
			struct call *call = &c->calls[j];

			if (call->state == CALL_FLYING)
				continue;
			event_del(call->timer);
			call->state = CALL_IDLE;
			if (call->open)
				give_up(call);
		}
	}
	finish_if_done(l);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drive_stop(arg);
}

/* ---- Making and freeing ---- */

static bool make_conn(struct load *l, struct conn *c, size_t calls, size_t i)
{
	c->load = l;
	c->fd = -1;
	c->server = i % l->o.servers_n;
	c->timer = evtimer_new(l->base, on_conn_timer, c);
	c->calls = calloc(calls, sizeof(*c->calls));
	if (c->timer == NULL || c->calls == NULL)
		return false;
	c->calls_n = calls;
	for (size_t j = 0; j < calls; j++) {
		c->calls[j].conn = c;
		c->calls[j].timer =
		    evtimer_new(l->base, on_call_timer, &c->calls[j]);
		if (c->calls[j].timer == NULL)
			return false;
	}
	return true;
}

bool drive_prepare(struct load *l)
{
	size_t n =
	    l->o.fresh ? l->o.connections * l->o.streams : l->o.connections;

	l->callbacks = conn_callbacks();
	l->conns = calloc(n, sizeof(*l->conns));
	l->tick = event_new(l->base, -1, EV_PERSIST, on_tick, l);
	l->interrupt = evsignal_new(l->base, SIGINT, on_signal, l);
	l->terminate = evsignal_new(l->base, SIGTERM, on_signal, l);
	if (l->callbacks == NULL || l->conns == NULL || l->tick == NULL ||
	    l->interrupt == NULL || l->terminate == NULL)
		return false;
	l->conns_n = n;
	for (size_t i = 0; i < n; i++)
		if (!make_conn(
			l, &l->conns[i], l->o.fresh ? 1 : l->o.streams, i))
			return false;
	return true;
}

void drive_start(struct load *l)
{
	l->books.begin_us = clock_mono_us();
	arm(l->tick, TICK_MS);
	event_add(l->interrupt, NULL);
	event_add(l->terminate, NULL);
	for (size_t i = 0; i < l->conns_n; i++)
		for (size_t j = 0; j < l->conns[i].calls_n; j++)
			want(&l->conns[i].calls[j]);
}

static void free_conn(struct conn *c)
{
	if (c->timer == NULL)
		return;
	if (c->state != CONN_CLOSED)
		conn_close(c);
	for (size_t i = 0; i < c->calls_n; i++) {
		if (c->calls[i].timer != NULL)
			event_free(c->calls[i].timer);
		buf_free(&c->calls[i].answer);
	}
	event_free(c->timer);
	buf_free(&c->out);
	free(c->calls);
}

void drive_free(struct load *l)
{
	for (size_t i = 0; i < l->conns_n; i++)
		free_conn(&l->conns[i]);
	free(l->conns);
	nghttp2_session_callbacks_del(l->callbacks);
	if (l->tick != NULL)
		event_free(l->tick);
	if (l->interrupt != NULL)
		event_free(l->interrupt);
	if (l->terminate != NULL)
		event_free(l->terminate);
}
