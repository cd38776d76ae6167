/* SMTP load for bench.receive: N sessions on one epoll loop, from a file of ready messages.

   generator --host A --port P --corpus FILE --sessions N [--seconds S] [--warm S] [--messages M]
             [--per-connection K] [--starttls] [--pipeline] [--hold] [--retry] [--acked FILE]
             [--zipf E] [--seed N] [--recipient R]

   The corpus is, a message: "SENDER LENGTH\n" and LENGTH octets as they go over the wire, final dot included.
   Which message is sent follows Zipf's law; each gets a first line "X-Bench: NUMBER", which no signature covers.
   stdout: "warm" when each session has had a message accepted and --warm is over, "end" when the window that is
   measured ends, then one line of JSON. With --hold the
   sessions stay until stdin ends. --acked lists "NUMBER INDEX" of each message that was answered with 250. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum state { WAITING, CONNECTING, GREETING, HELLO, STARTTLS, HANDSHAKE, MAIL, RCPT, DATA, BODY, RESET, QUIT, IDLE };
enum { SOURCES = 250, OPENING = 100, REPLY = 2048, WARM_LIMIT = 60 };

struct message { const char *sender, *octets; size_t sender_length, length; };
struct part { const char *octets; size_t length; };
struct session {
    int fd, number, sent_here, writing, served;
    enum state state;
    SSL *ssl;
    double begun, due;
    long id;
    size_t index;
    struct part parts[3];
    int part_count, part_first;
    char command[1024], reply[REPLY];
    size_t reply_length;
};

static struct { const char *host, *corpus, *acked, *recipient; int port, sessions, per_connection, starttls, pipeline,
    hold, retry; double seconds, warm, zipf; long messages; uint64_t seed; } options =
    { "127.0.0.1", NULL, NULL, "alice@corp.test", 25, 1, 0, 0, 0, 0, 0, 10, 0, 1.0, 0, 1 };

static struct message *messages;
static double *cumulated;
static size_t message_count;
static struct session *sessions;
static int poller, opening, stopping, in_window, transactions, served;
static long next_id, accepted, accepted_total, refused, lost, tried_connections;
static char first_refusal[256];
static float *latencies;
static size_t latency_count, latency_room;
static double window_begun, window_ended, cpu_begun;
static FILE *acked;
static SSL_CTX *tls;
static volatile sig_atomic_t told_to_end; /* SIGTERM: the window ends now */

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("generator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* ── what is sent ─────────────────────────────────────────────────────────────────────────────────────── */

static void read_corpus(void) {
    struct stat status;
    int fd = open(options.corpus, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status)) die("%s: %s", options.corpus, strerror(errno));
    char *all = malloc((size_t)status.st_size + 1), *at = all;
    if (!all) die("no memory for the corpus");
    for (off_t got = 0; got < status.st_size;) {
        ssize_t n = read(fd, all + got, (size_t)(status.st_size - got));
        if (n <= 0) die("%s: cannot be read", options.corpus);
        got += n;
    }
    close(fd);
    char *end = all + status.st_size;
    *end = 0;
    while (at < end) {
        char *space = memchr(at, ' ', (size_t)(end - at)), *rest;
        if (!space) die("%s: not a corpus", options.corpus);
        size_t length = strtoul(space + 1, &rest, 10);
        if (*rest != '\n' || length > (size_t)(end - rest - 1)) die("%s: not a corpus", options.corpus);
        messages = realloc(messages, (message_count + 1) * sizeof *messages);
        if (!messages) die("no memory");
        messages[message_count++] = (struct message){ at, rest + 1, (size_t)(space - at), length };
        at = rest + 1 + length;
    }
    if (!message_count) die("%s: empty", options.corpus);
    double sum = 0;
    cumulated = malloc(message_count * sizeof *cumulated);
    for (size_t i = 0; i < message_count; i++) cumulated[i] = sum += pow((double)(i + 1), -options.zipf);
}

static double chance(void) { /* xorshift64*, 0 <= x < 1 */
    uint64_t x = options.seed;
    x ^= x >> 12; x ^= x << 25; x ^= x >> 27;
    options.seed = x;
    return (double)((x * 2685821657736338717ULL) >> 11) / 9007199254740992.0;
}

static size_t choose(void) {
    double wanted = chance() * cumulated[message_count - 1];
    size_t low = 0, high = message_count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (cumulated[middle] > wanted) high = middle; else low = middle + 1;
    }
    return low;
}

/* ── sessions ─────────────────────────────────────────────────────────────────────────────────────────── */

static void watch(struct session *s, int writing) {
    if (s->writing == writing) return;
    s->writing = writing;
    struct epoll_event event = { .events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = s };
    epoll_ctl(poller, EPOLL_CTL_MOD, s->fd, &event);
}

static void hang_up(struct session *s) {
    if (s->state == CONNECTING || s->state == GREETING) opening--;
    if (s->state == MAIL || s->state == RCPT || s->state == DATA || s->state == BODY) transactions--;
    if (s->ssl) SSL_free(s->ssl);
    if (s->fd >= 0) close(s->fd);
    s->ssl = NULL;
    s->fd = -1;
    s->reply_length = 0;
    s->part_count = s->part_first = 0;
    s->state = stopping ? IDLE : WAITING;
    s->due = 0;
}

static void lose(struct session *s) {
    lost++;
    hang_up(s);
    s->due = now() + 0.02;
}

static void dial(struct session *s) {
    struct sockaddr_in local = { .sin_family = AF_INET }, there = { .sin_family = AF_INET };
    int one = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) die("socket: %s", strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    local.sin_addr.s_addr = htonl(0x7f4d0101u + ((unsigned)(s->number % SOURCES) << 8)); /* 127.77.1.1 … 127.77.250.1 */
    if (bind(s->fd, (void *)&local, sizeof local)) die("bind: %s", strerror(errno));
    there.sin_port = htons((uint16_t)options.port);
    inet_pton(AF_INET, options.host, &there.sin_addr);
    tried_connections++;
    opening++;
    s->state = CONNECTING;
    s->sent_here = 0;
    if (connect(s->fd, (void *)&there, sizeof there) && errno != EINPROGRESS) { lose(s); return; }
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
    epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &event);
    s->writing = 0;
    s->state = GREETING;
    s->begun = now();
}

static int shake_hands(struct session *s);

/* Send what is left; 0 where the connection is gone. */
static int flush(struct session *s) {
    while (s->part_first < s->part_count) {
        struct part *part = &s->parts[s->part_first];
        ssize_t n;
        if (s->ssl) {
            ERR_clear_error();
            n = SSL_write(s->ssl, part->octets, (int)part->length);
            if (n <= 0) {
                int why = SSL_get_error(s->ssl, (int)n);
                if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) return 0;
                watch(s, why == SSL_ERROR_WANT_WRITE);
                return 1;
            }
        } else {
            struct iovec vector[3];
            int count = 0;
            for (int i = s->part_first; i < s->part_count; i++, count++)
                vector[count] = (struct iovec){ (void *)s->parts[i].octets, s->parts[i].length };
            struct msghdr header = { .msg_iov = vector, .msg_iovlen = (size_t)count };
            n = sendmsg(s->fd, &header, MSG_NOSIGNAL);
            if (n < 0) {
                if (errno != EAGAIN && errno != EINTR) return 0;
                watch(s, 1);
                return 1;
            }
        }
        while (n > 0) {
            part = &s->parts[s->part_first];
            size_t taken = (size_t)n < part->length ? (size_t)n : part->length;
            part->octets += taken;
            part->length -= taken;
            n -= (ssize_t)taken;
            if (!part->length) s->part_first++;
        }
    }
    watch(s, 0);
    return 1;
}

static int say(struct session *s, enum state state, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(s->command, sizeof s->command, format, arguments);
    va_end(arguments);
    s->state = state;
    s->parts[0] = (struct part){ s->command, (size_t)length };
    s->part_first = 0;
    s->part_count = 1;
    return flush(s);
}

static int hello(struct session *s) {
    return say(s, HELLO, "EHLO client-%d.bench.test\r\n", s->number % SOURCES + 1);
}

static int quit(struct session *s) { return say(s, QUIT, "QUIT\r\n"); }

static int next_transaction(struct session *s) {
    if (stopping || (options.messages && next_id >= options.messages)) {
        s->state = IDLE;
        return 1;
    }
    if (options.per_connection && s->sent_here >= options.per_connection) return quit(s);
    if (s->sent_here) s->begun = now();
    s->sent_here++;
    s->id = next_id++;
    s->index = choose();
    transactions++;
    struct message *m = &messages[s->index];
    if (options.pipeline)
        return say(s, MAIL, "MAIL FROM:<%.*s>\r\nRCPT TO:<%s>\r\nDATA\r\n", (int)m->sender_length, m->sender,
                   options.recipient);
    return say(s, MAIL, "MAIL FROM:<%.*s>\r\n", (int)m->sender_length, m->sender);
}

static int send_message(struct session *s) {
    struct message *m = &messages[s->index];
    int length = snprintf(s->command, sizeof s->command, "X-Bench: %ld\r\n", s->id);
    s->state = BODY;
    s->parts[0] = (struct part){ s->command, (size_t)length };
    s->parts[1] = (struct part){ m->octets, m->length };
    s->part_first = 0;
    s->part_count = 2;
    return flush(s);
}

static int message_taken(struct session *s) {
    accepted_total++;
    transactions--;
    if (!s->served) s->served = 1, served++;
    s->state = IDLE;
    if (acked) fprintf(acked, "%ld %zu\n", s->id, s->index);
    if (in_window) {
        accepted++;
        if (latency_count == latency_room) {
            latency_room = latency_room ? latency_room * 2 : 4096;
            latencies = realloc(latencies, latency_room * sizeof *latencies);
            if (!latencies) die("no memory");
        }
        latencies[latency_count++] = (float)(now() - s->begun);
    }
    return next_transaction(s);
}

static int not_taken(struct session *s, int code) {
    refused++;
    if (!first_refusal[0]) {
        size_t n = 0;
        for (; n < sizeof first_refusal - 1 && s->reply[n] && s->reply[n] != '\r'; n++)
            first_refusal[n] = (s->reply[n] == '"' || s->reply[n] == '\\') ? '\'' : s->reply[n];
    }
    if (code == 421) return 0;
    if (s->state != MAIL && s->state != RCPT && s->state != DATA && s->state != BODY) return 0;
    if (options.pipeline) return 0; /* the rest of the group is on its way: begin anew */
    transactions--;
    return say(s, RESET, "RSET\r\n");
}

/* One whole reply. */
static int on_reply(struct session *s, int code) {
    if (code >= 400) return not_taken(s, code);
    switch (s->state) {
    case GREETING:
        opening--;
        return hello(s);
    case HELLO:
        if (options.starttls && !s->ssl) return say(s, STARTTLS, "STARTTLS\r\n");
        return next_transaction(s);
    case STARTTLS:
        s->ssl = SSL_new(tls);
        if (!s->ssl || !SSL_set_fd(s->ssl, s->fd)) die("no TLS");
        SSL_set_tlsext_host_name(s->ssl, "mx.corp.test");
        SSL_set_connect_state(s->ssl);
        s->state = HANDSHAKE;
        return shake_hands(s);
    case MAIL:
        s->state = RCPT;
        return options.pipeline ? 1 : say(s, RCPT, "RCPT TO:<%s>\r\n", options.recipient);
    case RCPT:
        s->state = DATA;
        return options.pipeline ? 1 : say(s, DATA, "DATA\r\n");
    case DATA: return send_message(s);
    case BODY: return message_taken(s);
    case RESET: return next_transaction(s);
    case QUIT:
        hang_up(s);
        if (s->state == WAITING) dial(s);
        return 1;
    default: return 0;
    }
}

static int shake_hands(struct session *s) {
    ERR_clear_error();
    int done = SSL_do_handshake(s->ssl);
    if (done == 1) {
        watch(s, 0);
        return hello(s);
    }
    int why = SSL_get_error(s->ssl, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return 0;
    watch(s, why == SSL_ERROR_WANT_WRITE);
    return 1;
}

/* Cut what came into replies; 0 where the session is over. */
static int digest(struct session *s) {
    for (;;) {
        char *at = s->reply, *end = s->reply + s->reply_length, *feed = NULL;
        while ((feed = memchr(at, '\n', (size_t)(end - at))) && feed - at >= 4 && at[3] == '-') at = feed + 1;
        if (!feed) return s->reply_length < REPLY - 1;
        int code = atoi(at);
        if (code < 200 || code > 599) return 0;
        if (at != s->reply) memmove(s->reply, at, (size_t)(end - at)), feed -= at - s->reply, end -= at - s->reply;
        *feed = 0;
        int before = s->fd;
        if (!on_reply(s, code)) return 0;
        if (s->fd != before || s->state == HANDSHAKE || s->state == GREETING) return 1;
        s->reply_length = (size_t)(end - feed - 1);
        memmove(s->reply, feed + 1, s->reply_length);
        if (!s->reply_length) return 1;
    }
}

static int on_input(struct session *s) {
    for (;;) {
        ssize_t n;
        size_t room = REPLY - 1 - s->reply_length;
        if (s->ssl) {
            ERR_clear_error();
            n = SSL_read(s->ssl, s->reply + s->reply_length, (int)room);
            if (n <= 0) return SSL_get_error(s->ssl, (int)n) == SSL_ERROR_WANT_READ;
        } else {
            n = recv(s->fd, s->reply + s->reply_length, room, 0);
            if (n == 0) return 0;
            if (n < 0) return errno == EAGAIN || errno == EINTR;
        }
        s->reply_length += (size_t)n;
        int fd = s->fd, encrypted = s->ssl != NULL;
        if (!digest(s)) return 0;
        if (s->fd != fd || s->state == IDLE) return 1;
        if (s->ssl && !encrypted) s->reply_length = 0;
        if (!s->ssl) return 1; /* level-triggered: no second recv to learn EAGAIN */
    }
}

static void on_event(struct session *s, uint32_t happened) {
    int going = 1;
    if (s->fd < 0) return;
    if (s->state == HANDSHAKE) going = shake_hands(s);
    else {
        if (happened & EPOLLOUT) going = flush(s);
        if (going && happened & (EPOLLIN | EPOLLHUP | EPOLLERR)) going = on_input(s);
    }
    if (!going) lose(s);
}

/* ── the run ──────────────────────────────────────────────────────────────────────────────────────────── */

static void dial_those_due(double t) {
    for (int i = 0; i < options.sessions && opening < OPENING; i++)
        if (sessions[i].state == WAITING && sessions[i].due <= t) dial(&sessions[i]);
}

static void announce(const char *word) {
    puts(word);
    fflush(stdout);
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(double q) {
    return latency_count ? 1000.0 * (double)latencies[(size_t)(q * (double)(latency_count - 1))] : 0.0;
}

enum until { TIME, ALL_SERVED, DRAINED };

static void loop_until(double until, enum until what) {
    struct epoll_event events[256];
    static double looked;
    for (;;) {
        double t = now();
        if (t >= until || (what == DRAINED ? !transactions : told_to_end)) return;
        if (what == ALL_SERVED && served == options.sessions) return;
        if (options.messages && accepted_total + refused + (options.retry ? 0 : lost) >= options.messages) return;
        if (!stopping && t - looked > 0.005) { dial_those_due(t); looked = t; }
        double left = (until - t) * 1000;
        int count = epoll_wait(poller, events, 256, left > 5 ? 5 : left < 1 ? 1 : (int)left);
        for (int i = 0; i < count; i++) on_event(events[i].data.ptr, events[i].events);
    }
}

static void run(void) {
    double begun = now();
    loop_until(begun + options.warm, TIME);
    if (options.warm > 0) loop_until(begun + WARM_LIMIT, ALL_SERVED); /* a server that forks must have done so */
    if (options.warm > 0 && served < options.sessions && !options.messages)
        die("%d of %d sessions had no message accepted in %d s", options.sessions - served, options.sessions, WARM_LIMIT);
    announce("warm");
    in_window = 1;
    window_begun = now();
    cpu_begun = cpu();
    loop_until(window_begun + options.seconds, TIME);
    in_window = 0;
    window_ended = now();
    double used = cpu() - cpu_begun;
    announce("end");
    stopping = 1;
    loop_until(window_ended + 30, DRAINED);
    if (options.hold) while (getchar() != EOF) continue;
    for (int i = 0; i < options.sessions; i++) if (sessions[i].fd >= 0) hang_up(&sessions[i]);
    if (acked && fclose(acked)) die("%s: %s", options.acked, strerror(errno));
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("{\"accepted\": %ld, \"seconds\": %.6f, \"accepted_total\": %ld, \"refused\": %ld, \"lost\": %ld, "
           "\"connections\": %ld, \"unfinished\": %d, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"cpu_seconds\": %.6f, "
           "\"first_refusal\": \"%s\"}\n", accepted, window_ended - window_begun, accepted_total, refused, lost,
           tried_connections, transactions, quantile(0.5), quantile(0.99), used, first_refusal);
}

static void on_signal(int number) { (void)number; told_to_end = 1; }

static void read_options(int count, char **words) {
    enum { HOST = 256, PORT, CORPUS, SESSIONS, SECONDS, WARM, MESSAGES, PER, TLS, PIPELINE, HOLD, RETRY, ACKED, ZIPF,
           SEED, RECIPIENT };
    static const struct option known[] = {
        { "host", 1, 0, HOST }, { "port", 1, 0, PORT }, { "corpus", 1, 0, CORPUS }, { "sessions", 1, 0, SESSIONS },
        { "seconds", 1, 0, SECONDS }, { "warm", 1, 0, WARM }, { "messages", 1, 0, MESSAGES },
        { "per-connection", 1, 0, PER }, { "starttls", 0, 0, TLS }, { "pipeline", 0, 0, PIPELINE },
        { "hold", 0, 0, HOLD }, { "retry", 0, 0, RETRY }, { "acked", 1, 0, ACKED }, { "zipf", 1, 0, ZIPF },
        { "seed", 1, 0, SEED }, { "recipient", 1, 0, RECIPIENT }, { 0, 0, 0, 0 } };
    for (int option; (option = getopt_long(count, words, "", known, NULL)) != -1;) switch (option) {
        case HOST: options.host = optarg; break;
        case PORT: options.port = atoi(optarg); break;
        case CORPUS: options.corpus = optarg; break;
        case SESSIONS: options.sessions = atoi(optarg); break;
        case SECONDS: options.seconds = atof(optarg); break;
        case WARM: options.warm = atof(optarg); break;
        case MESSAGES: options.messages = atol(optarg); break;
        case PER: options.per_connection = atoi(optarg); break;
        case TLS: options.starttls = 1; break;
        case PIPELINE: options.pipeline = 1; break;
        case HOLD: options.hold = 1; break;
        case RETRY: options.retry = 1; break;
        case ACKED: options.acked = optarg; break;
        case ZIPF: options.zipf = atof(optarg); break;
        case SEED: options.seed = strtoull(optarg, NULL, 10) | 1; break;
        case RECIPIENT: options.recipient = optarg; break;
        default: exit(2);
    }
    if (!options.corpus || options.sessions < 1 || options.sessions > 10000) die("needs --corpus, 1 to 10000 --sessions");
}

int main(int count, char **words) {
    read_options(count, words);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    read_corpus();
    poller = epoll_create1(EPOLL_CLOEXEC);
    sessions = calloc((size_t)options.sessions, sizeof *sessions);
    if (poller < 0 || !sessions) die("no memory");
    if (options.acked && !(acked = fopen(options.acked, "we"))) die("%s: %s", options.acked, strerror(errno));
    if (options.starttls) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF); /* a full handshake each time */
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    for (int i = 0; i < options.sessions; i++) sessions[i] = (struct session){ .fd = -1, .number = i, .state = WAITING };
    run();
    return 0;
}
