/* Reads the columns of a quote batch as producers/quote_batch.py writes them: compact, in its order, with numbers that
   are one division or product of exact doubles, which rounds them correctly. All else is left to Python, which gives
   the same columns or says what is wrong. The text ends with a 0, which nothing here goes beyond. */

#define IS_DIGIT(c) ((unsigned char)((c) - '0') < 10)
static const double POWERS[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
    1e20, 1e21, 1e22,
};

/* Return what follows `expected`, or 0. */
static inline const char *after(const char *at, const char *expected)
{
    while (*expected)
        if (*at++ != *expected++) return 0;
    return at;
}

/* Return whether the integer at `at` is spelt as the one of `length` digits at `known`. */
static inline int is_same(const char *at, const char *known, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        if (at[i] != known[i]) return 0;
    return !IS_DIGIT(at[length]);
}

/* Read an integer below 10^18; return what follows it, or 0. */
static inline const char *whole(const char *at, int64_t *value)
{
    const char *start = at;
    int64_t found = 0;
    while (IS_DIGIT(*at) && at - start < 18) found = 10 * found + (*at++ - '0');
    *value = found;
    return at == start || IS_DIGIT(*at) || (*start == '0' && at - start > 1) ? 0 : at;
}

/* Read a number; return what follows it, or 0. */
static inline const char *number(const char *at, double *value)
{
    int negative = *at == '-';
    const char *start = at + negative;
    int64_t digits = 0, exponent = 0, written = 0;
    for (at = start; IS_DIGIT(*at) && at - start < 17; at++) digits = 10 * digits + (*at - '0');
    if (at == start || (*start == '0' && at - start > 1)) return 0;
    if (*at == '.') {
        const char *point = ++at;
        for (; IS_DIGIT(*at) && at - start < 18; at++) digits = 10 * digits + (*at - '0');
        if (at == point) return 0;
        exponent = point - at;
    }
    if (IS_DIGIT(*at)) return 0;
    if (*at == 'e' || *at == 'E') {
        int down = *++at == '-';
        at += down || *at == '+';
        const char *power = at;
        for (; IS_DIGIT(*at) && at - power < 3; at++) written = 10 * written + (*at - '0');
        if (at == power || IS_DIGIT(*at)) return 0;
        exponent += down ? -written : written;
    }
    if (digits > (1LL << 53) || exponent < -22 || exponent > 22 || (negative && !digits)) return 0;
    double found = exponent < 0 ? (double)digits / POWERS[-exponent] : (double)digits * POWERS[exponent];
    *value = negative ? -found : found;
    return at;
}

/* Read the numbers of a column, of which some may be unknown; return what follows it, or 0. */
static const char *numbers(const char *at, int64_t rows, double lowest, double highest, int may_be_unknown, double *to)
{
    for (int64_t i = 0; i < rows; i++) {
        if (i && *at++ != ',') return 0;
        if (may_be_unknown && *at == 'n') {
            if (!(at = after(at, "null"))) return 0;
            to[i] = __builtin_nan("");
            continue;
        }
        if (!(at = number(at, to + i)) || !(to[i] >= lowest && to[i] <= highest)) return 0;
    }
    return *at == ']' ? at + 1 : 0;
}

static const char *optional(const char *at, const char *name, int64_t rows, double lowest, double highest, double *to)
{
    const char *found = after(at, name);
    if (found) return numbers(found, rows, lowest, highest, 1, to);
    for (int64_t i = 0; i < rows; i++) to[i] = __builtin_nan("");
    return at;
}

/* Pass over the times of the exchange, of which nothing is kept. */
static const char *quote_times(const char *at, int64_t rows, int64_t highest)
{
    const char *found = after(at, ",\"quote_ts\":[");
    if (!found) return at;
    for (int64_t i = 0; i < rows; i++) {
        int64_t value = 0;
        if (i && *found++ != ',') return 0;
        found = *found == 'n' ? after(found, "null") : whole(found, &value);
        if (!found || value > highest) return 0;
    }
    return *found == ']' ? found + 1 : 0;
}

/* Pass over at most `most` names without escapes. */
static const char *missing(const char *at, int64_t most)
{
    const char *found = after(at, ",\"missing\":[");
    if (!found) return at;
    for (int64_t i = 0; i < most; i++) {
        if (i && *found++ != ',') return 0;
        if (*found++ != '"') return 0;
        while (*found >= ' ' && *found < 127 && *found != '"' && *found != '\\') found++;
        if (*found++ != '"') return 0;
        if (*found == ']') return found + 1;
    }
    return 0;
}

/* Read what follows the symbols, from `start` on, to columns of `rows` numbers each: times, prices, bids, asks, day
   volumes. Return whether all could be read, up to the end. */
EXPORT int64_t read_columns(
    const char *text, int64_t start, int64_t size, int64_t rows, int64_t first_ts, int64_t last_ts, double *to)
{
    const char *at = text + start;
    int64_t *ts = (int64_t *)to;
    if (!(at = after(at, ",\"ts\":["))) return 0;
    const char *before = at;
    int64_t length = 0; /* of the number that starts at `before` */
    for (int64_t i = 0; i < rows; i++) {
        if (i && *at++ != ',') return 0;
        if (length && is_same(at, before, length)) { /* a poll has one time nearly always */
            ts[i] = ts[i - 1], at += length;
            continue;
        }
        before = at;
        if (!(at = whole(at, ts + i)) || ts[i] < first_ts || ts[i] > last_ts) return 0;
        length = at - before;
    }
    if (*at++ != ']' || !(at = after(at, ",\"price\":["))) return 0;
    if (!(at = numbers(at, rows, -MAX_PRICE, MAX_PRICE, 0, to + rows))) return 0;
    if (!(at = optional(at, ",\"bid\":[", rows, -MAX_PRICE, MAX_PRICE, to + 2 * rows))) return 0;
    if (!(at = optional(at, ",\"ask\":[", rows, -MAX_PRICE, MAX_PRICE, to + 3 * rows))) return 0;
    if (!(at = optional(at, ",\"day_volume\":[", rows, 0.0, MAX_VOLUME, to + 4 * rows))) return 0;
    if (!(at = quote_times(at, rows, MAX_TS_MS)) || !(at = missing(at, rows))) return 0;
    return *at == '}' && at + 1 == text + size;
}
