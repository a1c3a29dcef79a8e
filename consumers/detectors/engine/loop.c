/* The loop over the ticks of a call. What `compiler.py` makes of the detectors comes into the middle of it. */
#include <stdint.h>
#define DAY_MS 86400000
#define EXPORT __attribute__((visibility("default")))

/* As Python's max and min. */
static inline double maximum(double a, double b) { return b > a ? b : a; }
static inline double minimum(double a, double b) { return b < a ? b : a; }
/* The detectors come here. */

typedef int (*Score)(State *, Signals *, double *);

typedef struct {
    int64_t count, fields, kinds;
    /* The ticks: symbol after symbol by `order`, each in order. */
    const int64_t *order, *slot, *ts;
    const double *price, *bid, *ask, *day_volume;
    /* Of each symbol the members of State, then level, opened and hot of the kinds' episodes. Strides in numbers. */
    double *states;
    const double *thresholds;
    int64_t kind_stride, threshold_stride;
    double *scores; /* or none */
    int64_t score_stride;
    const Score *detectors;
    const double *rearm_ticks;
    /* The tick at work, and what the detectors say of it. */
    Signals *signals;
    double *readings, *changes;
} Call;

/* Move the episode of each kind on; return whether any began, rose or ended. */
static int move_on(const Call *c, double *level, const double *thresholds)
{
    int is_changed = 0;
    double *opened = level + c->kinds, *hot = opened + c->kinds;
    for (int64_t k = 0; k < c->kinds; k++) {
        double score = c->readings[4 * k], threshold = thresholds[k * c->kind_stride];
        double *change = c->changes + 3 * k;
        change[0] = 0.0;
        if (!(score >= threshold || level[k] > 0.0)) continue;
        Episode e = {level[k], opened[k], hot[k], c->rearm_ticks[k]};
        change[0] = episodes_move_on(&e, c->signals, score, threshold);
        if (change[0] != 0.0) {
            change[1] = e.level_;
            change[2] = e.opened_;
            is_changed = 1;
            if (change[0] == ENDED) e.level_ = e.opened_ = e.hot_ = 0.0;
        }
        level[k] = e.level_, opened[k] = e.opened_, hot[k] = e.hot_;
    }
    return is_changed;
}

/* Run the ticks from `at` on; return the number of the first one that changed an episode, `count` if none did, or -1
   if a detector that is not compiled failed. */
EXPORT int64_t run(const Call *c, int64_t at)
{
    Signals *x = c->signals;
    for (; at < c->count; at++) {
        int64_t row = c->order[at], slot = c->slot[row];
        double *state = c->states + slot * (c->fields + 3 * c->kinds);
        State *s = (State *)state;
        x->ts_ = (double)c->ts[row];
        x->time_ = (double)((c->ts[row] % DAY_MS + DAY_MS) % DAY_MS);
        x->price_ = c->price[row], x->bid_ = c->bid[row], x->ask_ = c->ask[row];
        x->day_volume_ = c->day_volume[row];
        signals_read(s, x);
        for (int64_t k = 0; k < c->kinds; k++)
            if (c->detectors[k](s, x, c->readings + 4 * k)) return -1;
        signals_learn(s, x);
        if (c->scores)
            for (int64_t k = 0; k < c->kinds; k++) c->scores[k * c->score_stride + row] = c->readings[4 * k];
        if (move_on(c, state + c->fields, c->thresholds + slot * c->threshold_stride)) return at;
    }
    return at;
}
