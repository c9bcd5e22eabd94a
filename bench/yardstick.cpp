// The speed yardstick: what one thread can do with intrinsics, for the workloads that the benchmarks time in samfast.
//
// One source for AVX2 and AVX-512: a small layer of vector types hides the width. The AVX2 code was tuned (Zen 3) and
// tested. The AVX-512 code was only compiled, and its logic checked on emulated registers: it never ran on such a CPU,
// and its block sizes are not tuned.
//
// Rules of the game: the exact noise stream of the library, every step applied to the state, IEEE operations only (no
// approximate reciprocals), results checked. Allowed is what a person who knows the problem would do by hand: a linear
// state is kept in units of its noise s, so that a step is one fused multiply-add; what depends on the step, the path
// or the coordinate alone is hoisted; lanes are ordered as the instructions like it.
//
// Callers see to it (yardstick.py does): paths is a multiple of 16, path numbers of one call share their upper 32 bits,
// s > 0, recorded steps ascend and are multiples of 4 (two-point noise: 128).
#include <immintrin.h>
#include <cstdint>

#define INLINE static inline __attribute__((always_inline))
#define API extern "C" __attribute__((visibility("default")))
#define EACH(n) _Pragma("GCC unroll 64") for (int i = 0; i < (n); i++)
#define LOOP _Pragma("GCC unroll 1") for
#define FOUR(q) _Pragma("GCC unroll 4") for (int q = 0; q < 4; q++)
#define INSIDE inline __attribute__((always_inline))
#define ALONE static __attribute__((noinline))
using u32 = uint32_t;
using u64 = uint64_t;
using i64 = int64_t;

// ------------------------------------------------------------------------------------------------ vector types
// V: integers, F: floats, D: doubles, each one register wide. The operators + - ^ & | of V work on 64-bit elements;
// (F)v and the like reinterpret bits.
#ifdef __AVX512F__
using V = __m512i;
using F = __m512;
using D = __m512d;
#define MM(name) _mm512_##name
INLINE V set(u64 x) { return MM(set1_epi64)((i64)x); }
INLINE V xor3(V a, V b, V c) { return MM(ternarylogic_epi64)(a, b, c, 0x96); }
INLINE V and_or(V a, V b, V c) { return MM(ternarylogic_epi64)(a, b, c, 0xEA); }   // (a & b) | c
INLINE V and_xor(V a, V b, V c) { return MM(ternarylogic_epi64)(a, b, c, 0x6A); }  // (a & b) ^ c
INLINE V flip(V x, V sign) { return and_xor(sign, MM(set1_epi32)(INT32_MIN), x); }
INLINE D low(F a) { return MM(cvtps_pd)(MM(castps512_ps256)(a)); }
INLINE D upper(F a) { return MM(cvtps_pd)(MM(extractf32x8_ps)(a, 1)); }
INLINE V lanes(int half) { return half ? V{2, 3, 6, 7, 10, 11, 14, 15} : V{0, 1, 4, 5, 8, 9, 12, 13}; }
#else
using V = __m256i;
using F = __m256;
using D = __m256d;
#define MM(name) _mm256_##name
INLINE V set(u64 x) { return MM(set1_epi64x)((i64)x); }
INLINE V xor3(V a, V b, V c) {  // b ^ c is ready early: keep it off the critical path, whatever the compiler thinks
    V t = b ^ c;
    asm("" : "+x"(t));
    return a ^ t;
}
INLINE V and_or(V a, V b, V c) { return (a & b) | c; }
INLINE V and_xor(V a, V b, V c) { return (a & b) ^ c; }
INLINE V flip(V x, V sign) { return (V)MM(blendv_ps)((F)x, (F)(x ^ MM(set1_epi32)(INT32_MIN)), (F)sign); }
INLINE D low(F a) { return MM(cvtps_pd)(MM(castps256_ps128)(a)); }
INLINE D upper(F a) { return MM(cvtps_pd)(MM(extractf128_ps)(a, 1)); }
INLINE V lanes(int half) { return half ? V{2, 3, 6, 7} : V{0, 1, 4, 5}; }
#endif
INLINE V set(u32 x) { return MM(set1_epi32)((int)x); }
INLINE F set(float x) { return MM(set1_ps)(x); }
INLINE D set(double x) { return MM(set1_pd)(x); }
INLINE V mul_low(V a, V b) { return MM(mul_epu32)(a, b); }  // of the lower halves of 64-bit elements
INLINE V high(V a) { return MM(srli_epi64)(a, 32); }
INLINE V add32(V a, V b) { return MM(add_epi32)(a, b); }
INLINE V sub32(V a, V b) { return MM(sub_epi32)(a, b); }
INLINE V pack(V a, V b) { return (V)MM(shuffle_ps)((F)a, (F)b, 0x88); }  // lower halves of both
INLINE D spread_low(V a) { return (D)MM(unpacklo_epi32)(V{}, a); }       // and back, as upper halves
INLINE D spread_high(V a) { return (D)MM(unpackhi_epi32)(V{}, a); }
INLINE F to_float(V a) { return MM(cvtepi32_ps)(a); }
INLINE F fma(F a, F b, F c) { return MM(fmadd_ps)(a, b, c); }
INLINE D fma(D a, D b, D c) { return MM(fmadd_pd)(a, b, c); }
INLINE F fnma(F a, F b, F c) { return MM(fnmadd_ps)(a, b, c); }  // c - a b
INLINE D fnma(D a, D b, D c) { return MM(fnmadd_pd)(a, b, c); }
INLINE F root(F a) { return MM(sqrt_ps)(a); }
INLINE D root(D a) { return MM(sqrt_pd)(a); }
INLINE D load(const double* p) { return MM(loadu_pd)(p); }
INLINE void store(double* p, D x) { MM(storeu_pd)(p, x); }
constexpr int ND = sizeof(D) / 8, NF = sizeof(F) / 4;  // doubles, floats in a register
INLINE double total(D x) {
    double t = 0;
    for (int i = 0; i < ND; i++) t += x[i];
    return t;
}

// ------------------------------------------------------------------------------------------------ words: Philox4x32-10
// A 32-bit word sits in the low half of a 64-bit lane, because that is where the multiplier reads it; the upper half
// holds rubbish. Rounds 1 and 2 split into a part of the path (head) and a part of the call (middle), so that
// ten rounds cost eight. A group is NF paths: two registers of words, one register of floats. pack() interleaves the
// two within 128 bits; lanes() numbers the paths so that the packed order is the natural one.
constexpr u64 M0 = 0xD2511F53, M1 = 0xCD9E8D57;
struct Keys {
    V k0[10], k1[10];
    u32 s0[10], s1[10];
    explicit Keys(u64 seed) {
        u32 a = (u32)seed, b = (u32)(seed >> 32);
        for (int i = 0; i < 10; i++, a += 0x9E3779B9u, b += 0xBB67AE85u) {
            s0[i] = a, s1[i] = b, k0[i] = set((u64)a), k1[i] = set((u64)b);
        }
    }
};
struct Head { V a, b, c; };
struct Middle { V d, e, f; };

INLINE Head head(V path, u32 tag, const Keys& k) {
    V p = mul_low(path, set(M1)), q = mul_low(high(p) ^ k.k0[0] ^ set((u64)tag), set(M0));
    return {p, high(q), q};
}

INLINE Middle middle(u32 call, u32 path_high, const Keys& k) {
    u64 p = M0 * call, q = M1 * (u32)((u32)(p >> 32) ^ path_high ^ k.s1[0]);
    return {set((u64)((u32)(q >> 32) ^ k.s0[1])), set((u64)((u32)p ^ k.s1[1])), set((u64)((u32)q ^ k.s0[2]))};
}

template <int N> INLINE void rounds(const Head* h, const Middle& m, const Keys& k, V* c0, V* c1, V* c2, V* c3) {
    EACH(N) {
        V p = mul_low(h[i].a ^ m.d, set(M0)), q = mul_low(h[i].b ^ m.e, set(M1));
        c0[i] = high(q) ^ m.f, c1[i] = q, c2[i] = xor3(high(p), h[i].c, k.k1[2]), c3[i] = p;
    }
    _Pragma("GCC unroll 10") for (int r = 3; r < 10; r++) EACH(N) {
        V p = mul_low(c0[i], set(M0)), q = mul_low(c2[i], set(M1));
        c0[i] = xor3(high(q), c1[i], k.k0[r]), c1[i] = q, c2[i] = xor3(high(p), c3[i], k.k1[r]), c3[i] = p;
    }
}

// ------------------------------------------------------------------------------------------------ normals: Box-Muller
// Two words a, b give two normals: radius sqrt(-2 log u) with the sign of bit 31 of a, angle pi/2 * t. N registers of
// pairs advance in step: one Horner chain alone would wait for its own latency.
// log: u = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); e is taken off the bits in place, without shifting it down.
constexpr float LOG32[] = {0.20213528628053548f, -0.324450489306088f, 0.3450169633846033f, -0.39800346387693714f,
                           0.49939816553920879f, -0.66670117357308745f, 1.0000073026642764f, -1.9999998906458434f};
constexpr float SIN32[] = {0.00015148512897354376f, -0.0046737666087941941f, 0.07968967894545817f,
                           -0.64596371059933533f, 1.5707963184476774f};
constexpr float COS32[] = {-0.00084564689871526521f, 0.019938066009270557f, -0.23369421095892251f,
                           0.9999997921734991f};
constexpr double LOG64[] = {-0.10725671961328216, 0.19801632612901668, -0.20066412702536812, 0.19845723739858076,
                            -0.22010168537879682, 0.24994968557706065, -0.28581973695967366, 0.33333886841236943,
                            -0.39999762296062641, 0.4999998816046225, -0.66666668667382334, 1.0000000005882301,
                            -1.9999999999719145};
constexpr double SIN64[] = {-3.4287904613701501e-06, 0.00016024702815792702, -0.0046816510157511454,
                            0.079692601259675158, -0.64596409526444243, 1.5707963267616722};
constexpr double COS64[] = {-4.4598728773202942e-07, 2.4716036597684209e-05, -0.00089451185648342234,
                            0.019968955108215114, -0.23370054990287362, 0.99999999999664457};
constexpr double LN4 = 1.3862943611198906;
constexpr u64 TWO52 = 0x4330000000000000;  // bits of 2.0^52

template <int N, int T, class R, class X> INLINE void horner(const R (&c)[T], const X* x, X* y) {
    EACH(N) y[i] = fma(set(c[0]), x[i], set(c[1]));
    _Pragma("GCC unroll 16") for (int j = 2; j < T; j++) EACH(N) y[i] = fma(y[i], x[i], set(c[j]));
}
template <int N, class X> INLINE void polar(const V* sign, const X* r, const X* t, const X* v, const X* s, const X* c,
                                            V bit, X* z0, X* z1) {
    EACH(N) {
        X q = (X)and_xor(sign[i], bit, (V)r[i]);
        z0[i] = fnma(q, v[i], q) * c[i], z1[i] = q * t[i] * s[i];
    }
}

// a, b: packed words
template <int N> INLINE void pairs(const V* a, const V* b, F* z0, F* z1) {
    F f[N], e[N], r[N], t[N], v[N], s[N], c[N];
    EACH(N) {
        F u = fma(to_float(a[i] & set(0x7FFFFFFFu)), set(0x1p-31f), set(0x1p-32f));
        V h = sub32((V)u, set(0x3F3504F3u)) & set(0xFF800000u);  // e * 2^23
        f[i] = (F)sub32((V)u, h) - set(1.0f);
        e[i] = to_float(h) * set((float)-LN4 * 0x1p-23f);
    }
    horner<N>(LOG32, f, r);
    EACH(N) r[i] = root(fma(r[i], f[i], e[i]));
    EACH(N) t[i] = to_float(b[i]) * set(0x1p-31f), v[i] = t[i] * t[i];
    horner<N>(SIN32, v, s);
    horner<N>(COS32, v, c);
    polar<N>(a, r, t, v, s, c, set(0x80000000u), z0, z1);
}

// a, b: words in 64-bit lanes, rubbish above. AVX2 has no conversion from int64 and no arithmetic 64-bit shift, so
// integers become doubles by their place in a mantissa; k = (e + 128) * 2^52 is positive.
template <int N> INLINE void pairs(const V* a, const V* b, D* z0, D* z1) {
    D f[N], e[N], r[N], t[N], v[N], s[N], c[N];
    V sign[N];
    EACH(N) {
        D u = fma((D)and_or(a[i], set(0x7FFFFFFFul), set(TWO52)), set(0x1p-31), set(-0x1p21 + 0x1p-32));
        V k = ((V)u - set(0x3FE6A09E667F3BCDul - (128ul << 52))) & set(0xFFF0000000000000ul);
        f[i] = fma((D)((V)u - k), set(0x1p128), set(-1.0));
        e[i] = fma((D)(MM(srli_epi64)(k, 7) + set(0x3FF0000000000000ul)), set(-128 * LN4), set(256 * LN4));
    }
    horner<N>(LOG64, f, r);
    EACH(N) r[i] = root(fma(r[i], f[i], e[i]));
    EACH(N) {
        t[i] = fma((D)and_xor(b[i], set(0xFFFFFFFFul), set(TWO52 + (1ul << 31))), set(0x1p-31), set(-0x1p21 - 1));
        v[i] = t[i] * t[i];
    }
    horner<N>(SIN64, v, s);
    horner<N>(COS64, v, c);
    EACH(N) sign[i] = MM(slli_epi64)(a[i], 32);
    polar<N>(sign, r, t, v, s, c, set(0x8000000000000000ul), z0, z1);
}

// ------------------------------------------------------------------------------------------------ stages and driver
// A block of G groups goes through short loops with L1 buffers between them: words, normals, steps. Each loop keeps its
// state in registers. Fused loops (words and normals of one group; or the words of the next group between the normals
// of this one) were 10 to 25 % slower on Zen 3: AVX2 has 16 registers, and long chains overlap badly.
constexpr int halves(const F*) { return 1; }
constexpr int halves(const D*) { return 2; }

template <class X, int G> struct Block {
    static constexpr int H = halves((X*)0);  // registers for one number of a group
    static constexpr int N = 2;              // groups that the normals loop takes together
    Head heads[2 * G];
    V word[4][H * G];
    X z[4][H * G];

    void fill_heads(u64 path, u32 tag, const Keys& k) {
        for (int i = 0; i < 2 * G; i++) heads[i] = head(set(path + i / 2 * NF) + lanes(i & 1), tag, k);
    }
    INSIDE void fill_words(int groups, u64 call, u64 path, const Keys& k) {
        const Middle m = middle((u32)call, (u32)(path >> 32), k);
        LOOP (int g = 0; g < groups; g++) {
            V c[4][2];
            rounds<2>(heads + 2 * g, m, k, c[0], c[1], c[2], c[3]);
            FOUR(q) {
                if (H == 1) word[q][g] = pack(c[q][0], c[q][1]);
                else EACH(H) word[q][H * g + i] = c[q][i];
            }
        }
    }
    template <class S> INSIDE void fill_normals(int groups, S& s) {
        constexpr int W = H * N;
        LOOP (int g = 0; g < groups; g += N) {
            V a[2 * W], b[2 * W];
            X y[2 * W], z_[2 * W];
            EACH(W) {
                a[i] = word[0][H * g + i], b[i] = word[1][H * g + i];
                a[W + i] = word[2][H * g + i], b[W + i] = word[3][H * g + i];
            }
            pairs<2 * W>(a, b, y, z_);
            if constexpr (S::at_once) {
                _Pragma("GCC unroll 2") for (int j = 0; j < N; j++) {
                    X four[4 * H];
                    EACH(H) {
                        four[i] = y[H * j + i], four[H + i] = z_[H * j + i];
                        four[2 * H + i] = y[W + H * j + i], four[3 * H + i] = z_[W + H * j + i];
                    }
                    s.steps(g + j, four);
                }
            } else EACH(W) {
                z[0][H * g + i] = y[i], z[1][H * g + i] = z_[i];
                z[2][H * g + i] = y[W + i], z[3][H * g + i] = z_[W + i];
            }
        }
    }
    template <class S> INSIDE void step(int groups, S& s) {
        LOOP (int g = 0; g < groups; g++) {
            X four[4 * H];
            FOUR(q) EACH(H) four[H * q + i] = z[q][H * g + i];
            s.steps(g, four);
        }
    }
};

// A program S supplies start(), steps(group, normals of four steps) and sum(record, groups); at_once says that it steps
// inside the normals loop, which pays if its state has the width of the normals.
template <class X, class S> ALONE void simulate(u64 first, i64 paths, const i64* record, i64 n_record, u64 seed, S& s) {
    constexpr int G = S::G;
    const Keys k(seed);
    Block<X, G> b;
    for (i64 done = 0; done < paths; done += G * NF) {
        const u64 path = first + done;
        const int groups = (int)((paths - done < G * NF ? paths - done : G * NF) / NF);
        b.fill_heads(path, 0, k);
        s.start();
        i64 call = 0;
        for (i64 t = 0; t < n_record; t++) {
            for (; call < record[t] / 4; call++) {
                b.fill_words(groups, call, path, k);
                b.fill_normals(groups, s);
                if (!S::at_once) b.step(groups, s);
            }
            s.sum(t, groups);
        }
    }
}

// ------------------------------------------------------------------------------------------------ linear programs
// Sums of w - w0 and (w - w0)^2 from a state in units of s.
struct Sums {
    double *sum1, *sum2, s;
    INSIDE void add(i64 t, const D* w, int n, D begin) {
        D one = set(0.0), two = one;
        for (int i = 0; i < n; i++) one = one + (w[i] - begin), two = fma(w[i] - begin, w[i] - begin, two);
        sum1[t] += s * total(one), sum2[t] += s * s * total(two);
    }
};
constexpr int LINEAR = 16;  // groups: 128 lanes with AVX2

struct Single {  // w <- a w + s z, float32
    static constexpr int G = LINEAR;
    static constexpr bool at_once = true;
    F a, begin, w[G];
    Sums sums;
    void start() { for (F& x : w) x = begin; }
    INSIDE void steps(int g, const F* z) {
        F x = w[g];
        FOUR(q) x = fma(a, x, z[q]);
        w[g] = x;
    }
    void sum(i64 t, int groups) {
        D d[2 * G];
        for (int g = 0; g < groups; g++) d[2 * g] = low(w[g]), d[2 * g + 1] = upper(w[g]);
        sums.add(t, d, 2 * groups, low(begin));
    }
};

template <bool AT_ONCE> struct Double {  // the same in float64; normals of either kind
    static constexpr int G = LINEAR;
    static constexpr bool at_once = AT_ONCE;
    D a, begin, w[2 * G];
    Sums sums;
    void start() { for (D& x : w) x = begin; }
    INSIDE void steps(int g, const D* z) {
        D x = w[2 * g], y = w[2 * g + 1];
        FOUR(q) x = fma(a, x, z[2 * q]), y = fma(a, y, z[2 * q + 1]);
        w[2 * g] = x, w[2 * g + 1] = y;
    }
    INSIDE void steps(int g, const F* z) {
        D wide[8];
        FOUR(q) wide[2 * q] = low(z[q]), wide[2 * q + 1] = upper(z[q]);
        steps(g, wide);
    }
    void sum(i64 t, int groups) { sums.add(t, w, 2 * groups, begin); }
};

struct HeavyBall {  // v <- b v - c w + s z, w <- w + v
    static constexpr int G = LINEAR;
    static constexpr bool at_once = false;
    D b, c, begin, w[2 * G], v[2 * G];
    Sums sums;
    void start() { for (int i = 0; i < 2 * G; i++) w[i] = begin, v[i] = set(0.0); }
    INSIDE void steps(int g, const F* z) {
        D x[2] = {w[2 * g], w[2 * g + 1]}, y[2] = {v[2 * g], v[2 * g + 1]};
        FOUR(q) {
            D n[2] = {low(z[q]), upper(z[q])};
            EACH(2) y[i] = fma(b, y[i], fnma(c, x[i], n[i])), x[i] = x[i] + y[i];
        }
        EACH(2) w[2 * g + i] = x[i], v[2 * g + i] = y[i];
    }
    void sum(i64 t, int groups) { sums.add(t, w, 2 * groups, begin); }
};

// 32 pairs (a, s) on the same normals. Few lanes, so that all states stay in L1; two settings at a time, so that their
// states, their a and the eight registers of normals fit into 16 registers.
struct Settings {
    static constexpr int G = 4, COUNT = 32, CHUNK = 2;
    static constexpr bool at_once = false;
    D a[COUNT], begin[COUNT], w[COUNT][2 * G];
    Sums sums[COUNT];
    void start() { for (int j = 0; j < COUNT; j++) for (D& x : w[j]) x = begin[j]; }
    INSIDE void steps(int g, const F* z) {
        D n[8];
        FOUR(q) n[2 * q] = low(z[q]), n[2 * q + 1] = upper(z[q]);
        LOOP (int j = 0; j < COUNT; j += CHUNK) {
            D x[2 * CHUNK];
            EACH(2 * CHUNK) x[i] = w[j + i / 2][2 * g + i % 2];
            FOUR(q) EACH(2 * CHUNK) x[i] = fma(a[j + i / 2], x[i], n[2 * q + i % 2]);
            EACH(2 * CHUNK) w[j + i / 2][2 * g + i % 2] = x[i];
        }
    }
    void sum(i64 t, int groups) { for (int j = 0; j < COUNT; j++) sums[j].add(t, w[j], 2 * groups, begin[j]); }
};

#define RUN u64 first, i64 paths, const i64 *record, i64 n_record
#define LINEAR_ARGS RUN, double a, double s, double w0, u64 seed, double *sum1, double *sum2
API void linear_float32(LINEAR_ARGS) {
    Single p{set((float)a), set((float)(w0 / s)), {}, {sum1, sum2, s}};
    simulate<F>(first, paths, record, n_record, seed, p);
}
API void linear_mixed(LINEAR_ARGS) {
    Double<false> p{set(a), set(w0 / s), {}, {sum1, sum2, s}};
    simulate<F>(first, paths, record, n_record, seed, p);
}
API void linear_float64(LINEAR_ARGS) {
    Double<true> p{set(a), set(w0 / s), {}, {sum1, sum2, s}};
    simulate<D>(first, paths, record, n_record, seed, p);
}
API void heavy_ball_mixed(RUN, double b, double c, double s, double w0, u64 seed, double* sum1, double* sum2) {
    HeavyBall p{set(b), set(c), set(w0 / s), {}, {}, {sum1, sum2, s}};
    simulate<F>(first, paths, record, n_record, seed, p);
}
// a, s: 32 values; sum1, sum2: 32 rows of n_record
API void settings_mixed(RUN, const double* a, const double* s, double w0, u64 seed, double* sum1, double* sum2) {
    Settings p;
    for (int j = 0; j < Settings::COUNT; j++) {
        p.a[j] = set(a[j]), p.begin[j] = set(w0 / s[j]);
        p.sums[j] = {sum1 + j * n_record, sum2 + j * n_record, s[j]};
    }
    simulate<F>(first, paths, record, n_record, seed, p);
}

// ------------------------------------------------------------------------------------------------ two-point noise
// One call serves 128 steps, so the state of a few groups stays in registers for 32 steps of one word. Six chains cover
// the latency of the multiply-add; eight would spill. In float64 the upper halves of -1 or 1 are made for a whole group
// at once and then spread over two registers.
template <class X> struct TwoPoint {
    static constexpr int H = halves((X*)0), G = 12, U = 6 / H;
    X a, begin, w[H * G];
    Sums sums;
    INSIDE void steps(const V (*word)[G], int g) {
        X y[H * U];
        EACH(H * U) y[i] = w[H * g + i];
        LOOP (int q = 0; q < 4; q++) {
            V x[U];
            EACH(U) x[i] = word[q][g + i];
            _Pragma("GCC unroll 4") for (int bit = 0; bit < 32; bit++) EACH(U) {
                if constexpr (H == 1) {
                    y[i] = fma(a, y[i], (F)flip(set(0x3F800000u), x[i]));
                } else {
                    V n = flip(set(0x3FF00000u), x[i]);
                    y[2 * i] = fma(a, y[2 * i], spread_low(n)), y[2 * i + 1] = fma(a, y[2 * i + 1], spread_high(n));
                }
                x[i] = add32(x[i], x[i]);
            }
        }
        EACH(H * U) w[H * g + i] = y[i];
    }
    ALONE void run(RUN, u64 seed, TwoPoint& p) {
        const Keys k(seed);
        Block<F, G> b;
        for (i64 done = 0; done < paths; done += G * NF) {
            const u64 path = first + done;
            const int groups = (int)((paths - done < G * NF ? paths - done : G * NF) / NF);
            b.fill_heads(path, 0, k);
            for (X& x : p.w) x = p.begin;
            i64 call = 0;
            for (i64 t = 0; t < n_record; t++) {
                for (; call < record[t] / 128; call++) {
                    b.fill_words(groups, call, path, k);
                    LOOP (int g = 0; g < groups; g += U) p.steps(b.word, g);
                }
                p.sum(t, groups);
            }
        }
    }
    void sum(i64 t, int groups) {
        if constexpr (H == 2) return sums.add(t, w, 2 * groups, begin);
        else {
            D d[2 * G];
            for (int g = 0; g < groups; g++) d[2 * g] = low(w[g]), d[2 * g + 1] = upper(w[g]);
            sums.add(t, d, 2 * groups, low(begin));
        }
    }
};
API void two_point_float32(LINEAR_ARGS) {
    TwoPoint<F> p{set((float)a), set((float)(w0 / s)), {}, {sum1, sum2, s}};
    p.run(first, paths, record, n_record, seed, p);
}
API void two_point_float64(LINEAR_ARGS) {
    TwoPoint<D> p{set(a), set(w0 / s), {}, {sum1, sum2, s}};
    p.run(first, paths, record, n_record, seed, p);
}

// ------------------------------------------------------------------------------------------------ Beale
// Half the gradient, x part negated. What is ready last enters last, to keep the chain short.
INLINE void beale(D x, D y, D& gx, D& gy) {
    D p = set(1.0) - y, y2 = y * y, q = set(1.0) - y2, r = fnma(y2, y, set(1.0)), three = y2 + (y2 + y2);
    D a = fnma(x, p, set(1.5)), b = fnma(x, q, set(2.25)), c = fnma(x, r, set(2.625));
    gx = fma(c, r, fma(b, q, a * p));
    gy = x * fma(c, three, fma(b, y + y, a));
}
enum Rule { GD, SAM, NORMALISED };

// The lanes of a block take one step after another in L1. Two gradients in one loop are a chain too long for the window
// of instructions in flight: the first loop goes up, the second steps from where it got (SAM 1.32 -> 1.12 ns, Zen 3).
// The normalised rule has its square root in the first loop and its division in the second, so that the divider works
// while the multipliers do.
template <Rule RULE> ALONE void descend(double* x_, double* y_, i64 paths, i64 steps, double lr, double rho) {
    constexpr int L = 16;
    const D l2 = set(2 * lr), r2 = set(2 * rho), r1 = set(rho);
    D x[L], y[L], u[L], v[L], norm[L];
    for (i64 done = 0; done < paths; done += L * ND) {
        const int n = (int)((paths - done < L * ND ? paths - done : L * ND) / ND);
        for (int i = 0; i < n; i++) x[i] = load(x_ + done + i * ND), y[i] = load(y_ + done + i * ND);
        LOOP (i64 k = 0; k < steps; k++) {
            if (RULE != GD) LOOP (int i = 0; i < n; i++) {
                D a, b;
                beale(x[i], y[i], a, b);
                if (RULE == SAM) a = fnma(r2, a, x[i]), b = fma(r2, b, y[i]);
                else norm[i] = root(fma(a, a, fma(b, b, set(1e-300))));  // 0/0 would spoil a minimum
                u[i] = a, v[i] = b;
            }
            LOOP (int i = 0; i < n; i++) {
                D a, b;
                if (RULE == GD) beale(x[i], y[i], a, b);
                if (RULE == SAM) beale(u[i], v[i], a, b);
                if (RULE == NORMALISED) {
                    D s = r1 / norm[i];
                    beale(fnma(s, u[i], x[i]), fma(s, v[i], y[i]), a, b);
                }
                x[i] = fma(l2, a, x[i]), y[i] = fnma(l2, b, y[i]);
            }
        }
        for (int i = 0; i < n; i++) store(x_ + done + i * ND, x[i]), store(y_ + done + i * ND, y[i]);
    }
}
API void beale_gd(double* x, double* y, i64 paths, i64 steps, double lr, double) {
    descend<GD>(x, y, paths, steps, lr, 0);
}
API void beale_sam(double* x, double* y, i64 paths, i64 steps, double lr, double rho) {
    descend<SAM>(x, y, paths, steps, lr, rho);
}
API void beale_normalised(double* x, double* y, i64 paths, i64 steps, double lr, double rho) {
    descend<NORMALISED>(x, y, paths, steps, lr, rho);
}

// ------------------------------------------------------------------------------------------------ quadratic
// Normalised SAM on sum(eig w^2)/2; w: dim rows of paths, dim <= 64. The state is the gradient g = eig w, which obeys
// the same rule, g <- g (1 - lr eig (1 + rho eig/|g|)), and saves a multiplication in its norm; where eig = 0, w does
// not move. B blocks of U registers take turns: the root and the division of one run below the passes of the others.
API int quadratic(double* w, i64 paths, i64 dim, i64 steps, const double* eig, double lr, double rho) {
    constexpr int U = 16 / ND, B = 4, MOST = 64;
    if (dim > MOST) return 1;
    D c1[MOST], c2[MOST], g[B][MOST][U], s[B][U];
    for (int i = 0; i < dim; i++) c1[i] = set(1 - lr * eig[i]), c2[i] = set(-lr * eig[i] * eig[i]);
    for (i64 done = 0; done < paths; done += B * U * ND) {
        const int blocks = (int)((paths - done < B * U * ND ? paths - done : B * U * ND) / (U * ND));
        for (int b = 0; b < blocks; b++) for (int u = 0; u < U; u++) {
            D q = set(1e-300);
            for (i64 j = 0; j < dim; j++) {
                D x = g[b][j][u] = load(w + j * paths + done + (b * U + u) * ND) * set(eig[j]);
                q = fma(x, x, q);
            }
            s[b][u] = set(rho) / root(q);
        }
        LOOP (i64 k = 0; k < steps; k++) LOOP (int b = 0; b < blocks; b++) {
            D q[U], r[U];
            EACH(U) q[i] = set(1e-300), r[i] = s[b][i];
            _Pragma("GCC unroll 2") for (i64 j = 0; j < dim; j++) EACH(U) {
                D x = g[b][j][i] * fma(c2[j], r[i], c1[j]);
                g[b][j][i] = x, q[i] = fma(x, x, q[i]);
            }
            EACH(U) s[b][i] = set(rho) / root(q[i]);
        }
        for (int b = 0; b < blocks; b++) for (int u = 0; u < U; u++) for (i64 j = 0; j < dim; j++) {
            if (eig[j] != 0) store(w + j * paths + done + (b * U + u) * ND, g[b][j][u] / set(eig[j]));
        }
    }
    return 0;
}

// ------------------------------------------------------------------------------------------------ dumps for tests
// out: paths rows of 4 * calls words or normals
API void words(u64 first, i64 paths, i64 calls, u64 seed, u32 tag, u32* out) {
    const Keys k(seed);
    Block<F, 1> b;
    for (i64 p = 0; p < paths; p += NF) {
        b.fill_heads(first + p, tag, k);
        for (i64 c = 0; c < calls; c++) {
            b.fill_words(1, c, first + p, k);
            for (int q = 0; q < 4; q++) for (int i = 0; i < NF; i++) {
                out[((p + i) * calls + c) * 4 + q] = (u32)((u64)b.word[q][0][i / 2] >> i % 2 * 32);
            }
        }
    }
}
template <class R> struct Dump {
    static constexpr int G = 2;
    static constexpr bool at_once = false;
    R* out;
    i64 calls, block, call;
    void start() { block++, call = -1; }
    void put(int g, int lane, int q, R z) { out[(((block * G + g) * NF + lane) * calls + call) * 4 + q] = z; }
    void steps(int g, const F* z) {
        call += g == 0;
        for (int q = 0; q < 4; q++) for (int i = 0; i < NF; i++) put(g, i, q, z[q][i]);
    }
    void steps(int g, const D* z) {
        call += g == 0;
        for (int q = 0; q < 8; q++) for (int i = 0; i < ND; i++) put(g, (int)lanes(q % 2)[i], q / 2, z[q][i]);
    }
    void sum(i64, int) {}
};
API void normals_float32(u64 first, i64 paths, i64 calls, u64 seed, float* out) {
    Dump<float> p{out, calls, -1, 0};
    const i64 steps = 4 * calls;
    simulate<F>(first, paths, &steps, 1, seed, p);
}
API void normals_float64(u64 first, i64 paths, i64 calls, u64 seed, double* out) {
    Dump<double> p{out, calls, -1, 0};
    const i64 steps = 4 * calls;
    simulate<D>(first, paths, &steps, 1, seed, p);
}
API int width() { return ND * 64; }  // bits of a register
