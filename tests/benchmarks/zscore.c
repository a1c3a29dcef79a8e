/* The rolling z-score of zscore.py for ticks of many symbols, compiled as the product's detectors are. A state is the
   window, then how many prices there were, the first of them, and the window's sum and sum of squares. */
#include <stdint.h>
#define WINDOW 64
#define LIMIT 6.0
#define LEAST_VARIANCE 1e-12

__attribute__((visibility("default"))) void
judge(double *states, const int64_t *slot, const double *price, int64_t count, double *scores)
{
    for (int64_t i = 0; i < count; i++) {
        double *s = states + slot[i] * (WINDOW + 4), *seen = s + WINDOW, *total = s + WINDOW + 2, *squares = total + 1;
        if (*seen == 0.0) s[WINDOW + 1] = price[i];
        double value = price[i] - s[WINDOW + 1], *oldest = s + (int64_t)*seen % WINDOW;
        scores[i] = 0.0;
        if (*seen >= WINDOW) {
            double mean = *total / WINDOW, variance = *squares / WINDOW - mean * mean;
            if (variance > LEAST_VARIANCE) {
                double z = __builtin_fabs(value - mean) / __builtin_sqrt(variance);
                if (z > LIMIT) scores[i] = z;
            }
        }
        *total += value - *oldest, *squares += value * value - *oldest * *oldest;
        *oldest = value, *seen += 1.0;
    }
}
