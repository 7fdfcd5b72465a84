/* The thin product W = A T and its gradient, each in one pass over memory (Eq. 1 of the paper).
 *
 * Rows lie in memory one after the other or anywhere (one pointer each); columns first..last are done here, in
 * tiles that stay in the L1 cache, so a range of columns is one thread's share. Types: 0 = float, 1 = bfloat16.
 */
#include <stdint.h>
#include <string.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

#define TILE 1024
#define ALIGNED __attribute__((aligned(64)))

static inline float from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

/* Rounds to nearest, ties to even, as torch does; a NaN stays one. */
static inline uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return value != value ? 0x7fc0 : (uint16_t)rounded;
}

/* sum[n] = sum_j factors[j * step] * rows[j][n] */
static void mix(const float *factors, long step, const float *const *rows, int count, long width, float *restrict sum) {
  int j = 0;
  if (count % 2) {
    const float a = factors[0], *restrict r = rows[0];
    for (long n = 0; n < width; n++) sum[n] = a * r[n];
    j = 1;
  } else {
    const float a = factors[0], b = factors[step], *restrict r = rows[0], *restrict s = rows[1];
    for (long n = 0; n < width; n++) sum[n] = a * r[n] + b * s[n];
    j = 2;
  }
  for (; j + 3 < count; j += 4) {
    const float a = factors[j * step], b = factors[(j + 1) * step], c = factors[(j + 2) * step], d = factors[(j + 3) * step];
    const float *restrict r = rows[j], *restrict s = rows[j + 1], *restrict t = rows[j + 2], *restrict u = rows[j + 3];
    for (long n = 0; n < width; n++) sum[n] += a * r[n] + b * s[n] + c * t[n] + d * u[n];
  }
  for (; j < count; j += 2) {
    const float a = factors[j * step], b = factors[(j + 1) * step];
    const float *restrict r = rows[j], *restrict s = rows[j + 1];
    for (long n = 0; n < width; n++) sum[n] += a * r[n] + b * s[n];
  }
}

/* totals[i * step] += <rows[i], t>: four at a time, for one sum alone waits for each of its additions. */
static void dots(const float *restrict t, const float *const *rows, int count, long width, double *totals, long step) {
  int i = 0;
  for (; i + 3 < count; i += 4) {
    const float *restrict p = rows[i], *restrict q = rows[i + 1], *restrict r = rows[i + 2], *restrict s = rows[i + 3];
    float a = 0, b = 0, c = 0, d = 0;
#pragma omp simd reduction(+ : a, b, c, d)
    for (long n = 0; n < width; n++) {
      a += p[n] * t[n];
      b += q[n] * t[n];
      c += r[n] * t[n];
      d += s[n] * t[n];
    }
    totals[i * step] += a;
    totals[(i + 1) * step] += b;
    totals[(i + 2) * step] += c;
    totals[(i + 3) * step] += d;
  }
  for (; i < count; i += 2) {
    const float *restrict p = rows[i], *restrict q = rows[i + 1 < count ? i + 1 : i];
    float a = 0, b = 0;
#pragma omp simd reduction(+ : a, b)
    for (long n = 0; n < width; n++) {
      a += p[n] * t[n];
      b += q[n] * t[n];
    }
    totals[i * step] += a;
    if (i + 1 < count) totals[(i + 1) * step] += b;
  }
}

/* Writes past the cache where it can: what is written is larger than any cache, and is not read again soon. */
static void store(const float *restrict from, long width, float *restrict to) {
#ifdef __AVX__
  if ((uintptr_t)to % 32 == 0 && width % 8 == 0) {
    for (long n = 0; n < width; n += 8) _mm256_stream_ps(to + n, _mm256_load_ps(from + n));
    return;
  }
#endif
  memcpy(to, from, width * sizeof(float));
}

/* Other threads see what was stored from here on. */
static void finish(void) {
#ifdef __AVX__
  _mm_sfence();
#endif
}

/* weights[i][first..last) = sum_j coefficients[i, j] templates[j][first..last) */
void softshare_weights(const float *coefficients, int layers, int count, const float *const *templates,
                       void *const *weights, int type, long first, long last) {
  float sum[TILE] ALIGNED;
  const float *rows[count];
  for (long start = first; start < last; start += TILE) {
    const long width = last - start < TILE ? last - start : TILE;
    for (int j = 0; j < count; j++) rows[j] = templates[j] + start;
    for (int i = 0; i < layers; i++) {
      mix(coefficients + (long)i * count, 1, rows, count, width, sum);
      if (type == 0) {
        store(sum, width, (float *)weights[i] + start);
        continue;
      }
      uint16_t *restrict out = (uint16_t *)weights[i] + start;
      for (long n = 0; n < width; n++) out[n] = to_bf16(sum[n]);
    }
  }
  finish();
}

/* for_templates[j] = sum_i coefficients[i, j] gradients[i];  for_coefficients[i, j] = <gradients[i], templates[j]>,
 * the latter over first..last alone and in double: the caller adds up the ranges. */
void softshare_gradients(const float *coefficients, int layers, int count, const float *const *templates,
                         const void *const *gradients, int type, float *const *for_templates,
                         double *for_coefficients, long first, long last) {
  float sum[TILE] ALIGNED;
  float widened[layers][TILE];
  const float *rows[layers];
  memset(for_coefficients, 0, sizeof(double) * layers * count);
  for (long start = first; start < last; start += TILE) {
    const long width = last - start < TILE ? last - start : TILE;
    for (int i = 0; i < layers; i++) {
      if (type == 0) {
        rows[i] = (const float *)gradients[i] + start;
        continue;
      }
      const uint16_t *restrict in = (const uint16_t *)gradients[i] + start;
      for (long n = 0; n < width; n++) widened[i][n] = from_bf16(in[n]);
      rows[i] = widened[i];
    }
    for (int j = 0; j < count; j++) {
      mix(coefficients + j, count, rows, layers, width, sum);
      store(sum, width, for_templates[j] + start);
      dots(templates[j] + start, rows, layers, width, for_coefficients + j, count);
    }
  }
  finish();
}
