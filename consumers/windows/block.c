/* What a block of ticks takes: its ticks in the order of their windows (`state.py`), their columns as few bytes
   (`codec.py`), and the bars that they move on (`bars.py`). Each does what the Python beside it does, bit for bit. */

/* Put rows in the order of their slots, and out of those of a slot take what is newer than `last_ts` and than all before
   it; a slot below 0 is left out. `starts` has room for the slots and one more. Return how many rows are in `order`. */
EXPORT int64_t arrange(
    int64_t rows, const int64_t *slot, const int64_t *ts, int64_t slots, const int64_t *last_ts, int64_t *starts,
    int64_t *sorted, int64_t *order)
{
    int64_t found = 0;
    for (int64_t k = 0; k <= slots; k++) starts[k] = 0;
    for (int64_t i = 0; i < rows; i++)
        if (slot[i] >= 0) starts[slot[i] + 1]++;
    for (int64_t k = 0; k < slots; k++) starts[k + 1] += starts[k];
    for (int64_t i = 0; i < rows; i++)
        if (slot[i] >= 0) sorted[starts[slot[i]]++] = i;
    for (int64_t k = 0, at = 0; k < slots; k++) {
        int64_t newest = last_ts[k];
        for (; at < starts[k]; at++) {
            if (ts[sorted[at]] <= newest) continue;
            newest = ts[sorted[at]];
            order[found++] = sorted[at];
        }
    }
    return found;
}

static const double SCALES[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
#define LAST_SCALE 8
#define EXACT 4503599627370496.0
#define RAW (-1)
enum { ALL_KNOWN, NONE_KNOWN, SOME_KNOWN };

typedef struct {
    uint8_t *to;
    int64_t *layout;
    int64_t *scratch; /* room for four columns */
} Out;

/* All lowest bytes, then all second ones, …, of values `size` bytes wide. */
static void put_planes(Out *o, const int64_t *values, int64_t count, int size)
{
    uint8_t *to = o->to;
    for (int plane = 0; plane < size; plane++, to += count)
        for (int64_t i = 0; i < count; i++) to[i] = (uint8_t)((uint64_t)values[i] >> 8 * plane);
    o->to = to;
}

static void put_ints(Out *o, const int64_t *values, int64_t count)
{
    int64_t low = 0, high = 0;
    for (int64_t i = 0; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    int width = 0;
    while (width < 3 && (low < -(1LL << ((8 << width) - 1)) || high >= 1LL << ((8 << width) - 1))) width++;
    *o->layout++ = width;
    put_planes(o, values, count, 1 << width);
}

static void put_runs(Out *o, const int64_t *values, const int64_t *slot, int64_t count)
{
    int64_t *heads = o->scratch, *rest = heads + count, before = 0, first = 0, others = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i && slot[i] == slot[i - 1]) {
            rest[others++] = values[i] - values[i - 1];
            continue;
        }
        heads[first++] = values[i] - before;
        before = values[i];
    }
    put_ints(o, heads, first);
    put_ints(o, rest, others);
}

/* Round half to even what is smaller than EXACT. */
static inline int64_t rounded(double value)
{
    return (int64_t)(value < 0.0 ? (value - EXACT) + EXACT : (value + EXACT) - EXACT);
}

static inline uint64_t bits_of(double value)
{
    union { double value; uint64_t bits; } both = {value};
    return both.bits;
}

/* Return the first scale from `scale` to `last` in which all values are integers that come back, which `to` gets. */
static int64_t scaled(const double *values, int64_t count, int64_t scale, int64_t last, int64_t *to)
{
    double greatest = 0.0;
    for (int64_t i = 0; i < count; i++) greatest = maximum(greatest, __builtin_fabs(values[i]));
    for (; scale <= last && greatest * SCALES[scale] < EXACT; scale++) {
        int64_t i = 0;
        for (; i < count; i++) {
            to[i] = rounded(values[i] * SCALES[scale]);
            if (bits_of((double)to[i] / SCALES[scale]) != bits_of(values[i])) break;
        }
        if (i == count) return scale;
    }
    return RAW;
}

static int64_t put_floats(Out *o, const double *values, const int64_t *slot, int64_t count)
{
    int64_t *whole_ones = o->scratch + 2 * count;
    int64_t scale = *o->layout++ = scaled(values, count, 0, LAST_SCALE, whole_ones);
    if (scale == RAW)
        put_planes(o, (const int64_t *)values, count, 8);
    else
        put_runs(o, whole_ones, slot, count);
    return scale;
}

/* Say which values are unknown, highest bit first; return how many are known. */
static int64_t put_known(Out *o, const double *values, int64_t count)
{
    int64_t known = 0;
    for (int64_t i = 0; i < count; i++) known += values[i] == values[i];
    *o->layout++ = known == count ? ALL_KNOWN : known ? SOME_KNOWN : NONE_KNOWN;
    if (!known || known == count) return known;
    for (int64_t i = 0; i < count; i += 8) {
        uint8_t bits = 0;
        for (int64_t j = i; j < i + 8 && j < count; j++) bits |= (values[j] != values[j]) << (7 - (j - i));
        *o->to++ = bits;
    }
    return known;
}

/* Bring the known values together, and of `beside` what stands beside them. */
static void put_together(const double *values, const int64_t *beside, int64_t count, double *to, int64_t *beside_to)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] == values[i]) *to++ = values[i], *beside_to++ = beside[i];
}

/* A side of the quote as its distance from the price. `held` has room for two columns, as all else is at work. */
static void put_quotes(Out *o, const double *side, const double *price, int64_t count, int64_t scale, int64_t *held)
{
    int64_t known = put_known(o, side, count), *whole_ones = o->scratch;
    if (known < count) {
        put_together(side, (const int64_t *)price, count, (double *)held, held + count);
        side = (const double *)held, price = (const double *)(held + count);
    }
    scale = *o->layout++ = scale == RAW ? RAW : scaled(side, known, scale, scale, whole_ones);
    if (scale == RAW) {
        put_planes(o, (const int64_t *)side, known, 8);
        return;
    }
    for (int64_t i = 0; i < known; i++) whole_ones[i] -= rounded(price[i] * SCALES[scale]);
    put_ints(o, whole_ones, known);
}

/* Write the columns of ticks to `to`, and what a reader must know to `layout`; return the number of its bytes. `scratch`
   has room for six columns. */
EXPORT int64_t pack_ticks(
    int64_t count, const int64_t *slot, const int64_t *ts, const double *price, const double *bid, const double *ask,
    const double *day_volume, int64_t *scratch, int64_t *layout, uint8_t *to)
{
    Out o = {to, layout, scratch};
    int64_t *held = scratch + 4 * count;
    for (int64_t i = 0; i < count; i++) held[i] = slot[i] - (i ? slot[i - 1] : 0);
    put_ints(&o, held, count);
    put_runs(&o, ts, slot, count);
    int64_t scale = put_floats(&o, price, slot, count);
    put_quotes(&o, bid, price, count, scale, held);
    put_quotes(&o, ask, price, count, scale, held);
    int64_t known = put_known(&o, day_volume, count);
    if (known < count) {
        put_together(day_volume, slot, count, (double *)held, held + count);
        day_volume = (const double *)held, slot = held + count;
    }
    put_floats(&o, day_volume, slot, known);
    return o.to - to;
}

enum { MINUTE, OPEN, HIGH, LOW, CLOSE, TICKS, BID, ASK, VOLUME_BEFORE, VOLUME, DAY, DAY_OPEN, PREVIOUS_CLOSE, TS,
       SPREAD_LOW, SPREAD_HIGH, BAR_FIELDS };
#define MINUTE_MS 60000

/* Move the fields of a symbol on by one tick; write them to `closed` first where it begins another minute. Return whether
   it did. */
static int64_t move_bar(
    double *f, double minute, double ts, double price, double bid, double ask, double volume, double *closed)
{
    int continued = f[TICKS] != 0.0 && f[MINUTE] == minute, ended = !continued && f[TICKS] != 0.0;
    double spread = bid > 0.0 && ask >= bid ? ask - bid : -1.0, day = (double)((int64_t)minute / DAY_MS);
    if (ended)
        for (int k = 0; k < BAR_FIELDS; k++) closed[k] = f[k];
    if (day > f[DAY]) f[DAY] = day, f[PREVIOUS_CLOSE] = f[CLOSE], f[DAY_OPEN] = price;
    if (!continued) {
        f[MINUTE] = minute, f[OPEN] = f[HIGH] = f[LOW] = price, f[TICKS] = 0.0;
        f[VOLUME_BEFORE] = f[VOLUME], f[SPREAD_LOW] = f[SPREAD_HIGH] = -1.0;
    }
    f[HIGH] = maximum(price, f[HIGH]), f[LOW] = minimum(price, f[LOW]), f[CLOSE] = price;
    f[TICKS] += 1.0, f[TS] = ts;
    if (bid > 0.0) f[BID] = bid;
    if (ask > 0.0) f[ASK] = ask;
    if (volume >= 0.0) {
        f[VOLUME] = volume;
        if (f[VOLUME_BEFORE] < 0.0) f[VOLUME_BEFORE] = volume;
    }
    if (spread >= 0.0) {
        if (!(f[SPREAD_LOW] >= 0.0 && f[SPREAD_LOW] < spread)) f[SPREAD_LOW] = spread;
        f[SPREAD_HIGH] = maximum(spread, f[SPREAD_HIGH]);
    }
    return ended;
}

/* Move `minutes`, with its strides in numbers, over ticks sorted by slot and time. Of the bars that close write the slots
   and the fields, a bar after the other; return how many. */
EXPORT int64_t advance_bars(
    int64_t count, const int64_t *slot, const int64_t *ts, const double *price, const double *bid, const double *ask,
    const double *day_volume, double *minutes, int64_t field_stride, int64_t slot_stride, int64_t *closed_slots,
    double *closed)
{
    double fields[BAR_FIELDS];
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = slot[i];
        if (!i || at != slot[i - 1])
            for (int k = 0; k < BAR_FIELDS; k++) fields[k] = minutes[k * field_stride + at * slot_stride];
        if (price[i] > 0.0) {
            double minute = (double)(ts[i] / MINUTE_MS * MINUTE_MS);
            closed_slots[found] = at;
            found += move_bar(
                fields, minute, (double)ts[i], price[i], bid[i], ask[i], day_volume[i], closed + found * BAR_FIELDS);
        }
        if (i + 1 == count || slot[i + 1] != at)
            for (int k = 0; k < BAR_FIELDS; k++) minutes[k * field_stride + at * slot_stride] = fields[k];
    }
    return found;
}
