/* Batch norm and ReLU at once, in two walks over the activations each way.
 *
 * Activations lie as rows of `channels` numbers, one row a pixel. They are walked in flat blocks of `wide` numbers, a
 * whole number of rows, so that the innermost loop is long however few the channels are; what belongs to a channel is
 * repeated to the width of a block. Types: 0 = float, 1 = bfloat16.
 *
 * A channel's activation is x * scale + shift with scale = weight / deviation and shift = bias - mean * scale; what is
 * at or below 0 becomes 0 in the forward, and has no gradient. It is computed in the same way in the backward, which so
 * needs no mask.
 */
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* Sums are taken in float over four times so many blocks at most, and from there in double. */
#define FLUSH 64
/* Rows, spread over all, whose mean is taken off before squares are summed: else a variance that is small beside the
 * mean would be lost. */
#define PIVOTS 32

INLINE float load(const void *from, long n, int type) {
  if (type == 0) return ((const float *)from)[n];
  uint32_t bits = (uint32_t)((const uint16_t *)from)[n] << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

/* Rounds to nearest, ties to even, as torch does; a NaN stays one. */
INLINE void store(void *to, long n, float value, int type) {
  if (type == 0) {
    ((float *)to)[n] = value;
    return;
  }
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  ((uint16_t *)to)[n] = value != value ? 0x7fc0 : (uint16_t)rounded;
}

INLINE const void *at(const void *from, long n, int type) { return (const char *)from + n * (type ? 2 : 4); }

INLINE void *to(void *from, long n, int type) { return (char *)from + n * (type ? 2 : 4); }

/* Rows first..last of a thread: `rows` in as many pieces as there are threads. */
INLINE void share_of(long rows, long *first, long *last) {
  const long threads = omp_get_num_threads(), each = (rows + threads - 1) / threads, mine = omp_get_thread_num();
  *first = mine * each < rows ? mine * each : rows;
  *last = *first + each < rows ? *first + each : rows;
}

static void repeat(const float *from, long channels, long wide, float *restrict many) {
  for (long n = 0; n < wide; n += channels) memcpy(many + n, from, channels * sizeof(float));
}

/* Adds the sums of a block's places to those of their channels, and sets them to 0. */
static void flush(float *sums, long channels, long wide, double *totals) {
  for (long n = 0; n < wide; n += channels)
    for (long c = 0; c < channels; c++) totals[c] += sums[n + c];
  memset(sums, 0, wide * sizeof(float));
}

/* totals[c] += sum of x - pivot, totals[channels + c] += sum of its square, over rows first..last. */
INLINE void add_moments(const void *x, int type, const float *restrict pivot, long channels, long wide, long first,
                        long last, float *restrict sums, float *restrict squares, double *totals) {
  const long end = last * channels;
  long start = first * channels;
  for (int blocks = 0; start + 4 * wide <= end; start += 4 * wide) {
    const void *p = at(x, start, type), *q = at(p, wide, type), *r = at(q, wide, type), *s = at(r, wide, type);
#pragma omp simd
    for (long n = 0; n < wide; n++) {
      const float a = load(p, n, type) - pivot[n], b = load(q, n, type) - pivot[n];
      const float c = load(r, n, type) - pivot[n], d = load(s, n, type) - pivot[n];
      sums[n] += (a + b) + (c + d);
      squares[n] += (a * a + b * b) + (c * c + d * d);
    }
    if (++blocks == FLUSH) {
      flush(sums, channels, wide, totals), flush(squares, channels, wide, totals + channels);
      blocks = 0;
    }
  }
  for (; start < end; start += wide) {
    const void *p = at(x, start, type);
    const long width = end - start < wide ? end - start : wide;
#pragma omp simd
    for (long n = 0; n < width; n++) {
      const float a = load(p, n, type) - pivot[n];
      sums[n] += a;
      squares[n] += a * a;
    }
  }
  flush(sums, channels, wide, totals), flush(squares, channels, wide, totals + channels);
}

/* y = max(0, x * scale + shift), and what is skipped added to it where there is such. */
INLINE void normalise(const void *x, const void *skipped, int type, const float *restrict scale,
                      const float *restrict shift, long channels, long wide, long first, long last, void *y) {
  const long end = last * channels;
  for (long start = first * channels; start < end; start += wide) {
    const long width = end - start < wide ? end - start : wide;
    const void *p = at(x, start, type), *q = skipped ? at(skipped, start, type) : 0;
    void *out = to(y, start, type);
    if (q) {
#pragma omp simd
      for (long n = 0; n < width; n++) {
        const float z = load(p, n, type) * scale[n] + shift[n];
        store(out, n, load(q, n, type) + (z <= 0 ? 0 : z), type);
      }
    } else {
#pragma omp simd
      for (long n = 0; n < width; n++) {
        const float z = load(p, n, type) * scale[n] + shift[n];
        store(out, n, z <= 0 ? 0 : z, type);
      }
    }
  }
}

/* With g the gradient where the activation is above 0: totals[c] += sum of g, totals[channels + c] += sum of
 * g (x - mean), over rows first..last. */
INLINE void add_gradients(const void *x, const void *dy, int type, const float *restrict scale,
                          const float *restrict shift, const float *restrict mean, long channels, long wide, long first,
                          long last, float *restrict sums, float *restrict products, double *totals) {
  const long end = last * channels;
  int blocks = 0;
  for (long start = first * channels; start < end; start += wide) {
    const long width = end - start < wide ? end - start : wide;
    const void *p = at(x, start, type), *q = at(dy, start, type);
#pragma omp simd
    for (long n = 0; n < width; n++) {
      const float value = load(p, n, type), g = value * scale[n] + shift[n] <= 0 ? 0 : load(q, n, type);
      sums[n] += g;
      products[n] += g * (value - mean[n]);
    }
    if (++blocks == 4 * FLUSH) {
      flush(sums, channels, wide, totals), flush(products, channels, wide, totals + channels);
      blocks = 0;
    }
  }
  flush(sums, channels, wide, totals), flush(products, channels, wide, totals + channels);
}

/* dx = scale g + slope (x - mean) + level. */
INLINE void differentiate(const void *x, const void *dy, int type, const float *restrict scale,
                          const float *restrict shift, const float *restrict mean, const float *restrict slope,
                          const float *restrict level, long channels, long wide, long first, long last, void *dx) {
  const long end = last * channels;
  for (long start = first * channels; start < end; start += wide) {
    const long width = end - start < wide ? end - start : wide;
    const void *p = at(x, start, type), *q = at(dy, start, type);
    void *out = to(dx, start, type);
#pragma omp simd
    for (long n = 0; n < width; n++) {
      const float value = load(p, n, type), g = value * scale[n] + shift[n] <= 0 ? 0 : load(q, n, type);
      store(out, n, scale[n] * g + (slope[n] * (value - mean[n]) + level[n]), type);
    }
  }
}

/* Numbers of a block: rows enough for 1,024 or so. */
static long width_of(long channels) { return channels * (channels < 1024 ? 1024 / channels : 1); }

/* Mean and biased variance of each channel, and y. `moments` holds mean, variance, scale and shift: 4 x channels.
 * Returns 0, or 1 where memory is short. */
int softshare_norm_forward(const void *x, const void *skipped, int type, long rows, long channels, const float *weight,
                           const float *bias, double eps, int threads, float *moments, void *y) {
  const long wide = width_of(channels);
  float *mean = moments, *variance = mean + channels, *scale = variance + channels, *shift = scale + channels;
  double *totals = calloc((long)threads * 2 * channels, sizeof(double));
  float *many = calloc((long)threads * 2 * wide + 3 * wide + channels, sizeof(float));
  if (!totals || !many) {
    free(totals), free(many);
    return 1;
  }
  float *pivots = many + (long)threads * 2 * wide, *scales = pivots + wide, *shifts = scales + wide;
  float *pivot = shifts + wide;
  const long sampled = rows < PIVOTS ? rows : PIVOTS;
  for (long row = 0; row < sampled; row++)
    for (long c = 0; c < channels; c++) pivot[c] += load(x, rows / sampled * row * channels + c, type) / sampled;
  repeat(pivot, channels, wide, pivots);
#pragma omp parallel num_threads(threads)
  {
    float *sums = many + (long)omp_get_thread_num() * 2 * wide, *squares = sums + wide;
    double *own = totals + (long)omp_get_thread_num() * 2 * channels;
    long first, last;
    share_of(rows, &first, &last);
    if (type) add_moments(x, 1, pivots, channels, wide, first, last, sums, squares, own);
    else add_moments(x, 0, pivots, channels, wide, first, last, sums, squares, own);
#pragma omp barrier
#pragma omp single
    {
      for (int t = 1; t < omp_get_num_threads(); t++)
        for (long c = 0; c < 2 * channels; c++) totals[c] += totals[(long)t * 2 * channels + c];
      for (long c = 0; c < channels; c++) {
        const double off = totals[c] / rows, spread = totals[channels + c] / rows - off * off;
        mean[c] = (float)(pivot[c] + off);
        variance[c] = spread < 0 ? 0 : (float)spread;
        scale[c] = (float)(weight[c] / sqrt(variance[c] + eps));
        shift[c] = bias[c] - mean[c] * scale[c];
      }
      repeat(scale, channels, wide, scales);
      repeat(shift, channels, wide, shifts);
    }
    if (type) normalise(x, skipped, 1, scales, shifts, channels, wide, first, last, y);
    else normalise(x, skipped, 0, scales, shifts, channels, wide, first, last, y);
  }
  free(totals), free(many);
  return 0;
}

/* Gradients for x, weight and bias from that for y; `moments` are the forward's. Returns as the forward. */
int softshare_norm_backward(const void *x, const void *dy, int type, long rows, long channels, const float *moments,
                            double eps, int threads, float *for_weight, float *for_bias, void *dx) {
  const long wide = width_of(channels);
  const float *mean = moments, *variance = mean + channels, *scale = variance + channels, *shift = scale + channels;
  double *totals = calloc((long)threads * 2 * channels, sizeof(double));
  float *many = calloc((long)threads * 2 * wide + 5 * wide + 2 * channels, sizeof(float));
  if (!totals || !many) {
    free(totals), free(many);
    return 1;
  }
  float *scales = many + (long)threads * 2 * wide, *shifts = scales + wide, *means = shifts + wide;
  float *slopes = means + wide, *levels = slopes + wide, *slope = levels + wide, *level = slope + channels;
  repeat(scale, channels, wide, scales);
  repeat(shift, channels, wide, shifts);
  repeat(mean, channels, wide, means);
#pragma omp parallel num_threads(threads)
  {
    float *sums = many + (long)omp_get_thread_num() * 2 * wide, *products = sums + wide;
    double *own = totals + (long)omp_get_thread_num() * 2 * channels;
    long first, last;
    share_of(rows, &first, &last);
    if (type) add_gradients(x, dy, 1, scales, shifts, means, channels, wide, first, last, sums, products, own);
    else add_gradients(x, dy, 0, scales, shifts, means, channels, wide, first, last, sums, products, own);
#pragma omp barrier
#pragma omp single
    {
      for (int t = 1; t < omp_get_num_threads(); t++)
        for (long c = 0; c < 2 * channels; c++) totals[c] += totals[(long)t * 2 * channels + c];
      for (long c = 0; c < channels; c++) {
        const double spread = variance[c] + eps;
        for_bias[c] = (float)totals[c];
        for_weight[c] = (float)(totals[channels + c] / sqrt(spread));
        level[c] = (float)(-scale[c] * totals[c] / rows);
        slope[c] = (float)(-scale[c] * totals[channels + c] / rows / spread);
      }
      repeat(slope, channels, wide, slopes);
      repeat(level, channels, wide, levels);
    }
    if (type) differentiate(x, dy, 1, scales, shifts, means, slopes, levels, channels, wide, first, last, dx);
    else differentiate(x, dy, 0, scales, shifts, means, slopes, levels, channels, wide, first, last, dx);
  }
  free(totals), free(many);
  return 0;
}
