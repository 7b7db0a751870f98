using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>The few functions of the C library's mathematics and random numbers that the runtime calls.</summary>
// SAFETY: a double and a ulong have the same size and no invalid values, so either is read as the other; modf's result pointer is the C caller's.
internal static unsafe class MathPlugs
{
    private const double Ln2 = 0.693147180559945309417232121458;
    private const double Sqrt2 = 1.41421356237309504880168872421;

    private static ulong s_random;
    private static bool s_seeded;

    /// <summary>Natural logarithm: x = m · 2^e with m in [√½, √2), ln m = 2 artanh((m - 1) / (m + 1)) as a series.</summary>
    [RuntimeExport("log")]
    private static double Log(double x)
    {
        ulong bits = *(ulong*)&x;
        if ((bits << 1) == 0) return Bits(0xFFF0000000000000);                  // ln 0 = -∞
        if (bits >> 63 != 0 || bits > 0x7FF0000000000000) return Bits(0x7FF8000000000000);
        if (bits == 0x7FF0000000000000) return x;
        int exponent = 0;
        if (bits >> 52 == 0)
        {
            x *= 18014398509481984.0;                                           // subnormal: times 2^54
            exponent = -54;
            bits = *(ulong*)&x;
        }
        exponent += (int)(bits >> 52) - 1023;
        double m = Bits((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000);
        if (m > Sqrt2)
        {
            m *= 0.5;
            exponent++;
        }
        double t = (m - 1) / (m + 1), square = t * t, sum = 0;
        for (int k = 27; k >= 3; k -= 2) sum = (sum + 1.0 / k) * square;
        return exponent * Ln2 + 2 * (t + t * sum);
    }

    /// <summary>Splits a number into its integral part (stored) and its fraction (returned), both with its sign.</summary>
    [RuntimeExport("modf")]
    private static double Split(double x, double* integral)
    {
        ulong bits = *(ulong*)&x, sign = bits & 1UL << 63;
        int exponent = (int)(bits >> 52 & 0x7FF) - 1023;
        if (exponent >= 52)
        {
            *integral = x;
            return exponent == 1024 && (bits << 12) != 0 ? x : Bits(sign);       // NaN stays NaN; the rest has no fraction
        }
        if (exponent < 0)
        {
            *integral = Bits(sign);
            return x;
        }
        double whole = Bits(bits & ~(0x000FFFFFFFFFFFFFUL >> exponent));
        *integral = whole;
        return x == whole ? Bits(sign) : x - whole;
    }

    [RuntimeExport("floor")]
    private static double Floor(double x)
    {
        double whole;
        return Split(x, &whole) < 0 ? whole - 1 : whole;
    }

    [RuntimeExport("ceil")]
    private static double Ceiling(double x)
    {
        double whole;
        return Split(x, &whole) > 0 ? whole + 1 : whole;
    }

    private static double Bits(ulong bits) => *(double*)&bits;

    /// <summary>POSIX: X(n+1) = (0x5DEECE66D · X + 11) mod 2^48, the upper 31 bits. Seeded from the hardware before the first use.</summary>
    [RuntimeExport("lrand48")]
    private static long Random()
    {
        if (!s_seeded)
        {
            s_random = Entropy.Next();
            s_seeded = true;
        }
        s_random = (s_random * 0x5DEECE66D + 11) & 0xFFFFFFFFFFFF;
        return (long)(s_random >> 17);
    }

    /// <summary>The runtime seeds with the time, which is no secret: the hardware's seed is mixed in.</summary>
    [RuntimeExport("srand48")]
    private static void Seed(long seed)
    {
        s_random = (((ulong)(uint)seed << 16) + 0x330E) ^ (Entropy.Next() & 0xFFFFFFFFFFFF);
        s_seeded = true;
    }
}
