using System;
using System.Buffers.Binary;
using System.Text;
using Asterinas.Ostd.Smp;

namespace Asterinas.Services.Processes;

/// <summary>The CPU as /proc/cpuinfo names it (SDM vol. 2, CPUID).</summary>
internal static class CpuDescription
{
    private const uint Extended = 0x80000000;
    private static readonly CpuidAnswer s_basic = CpuIdentity.Cpuid(0), s_features = CpuIdentity.Cpuid(1);

    public static uint MaxLeaf => s_basic.Eax;
    public static string Vendor { get; } = Text(s_basic.Ebx, s_basic.Edx, s_basic.Ecx);
    public static uint Family { get; } = Base(8) == 15 ? 15 + (s_features.Eax >> 20 & 0xFF) : Base(8);
    public static uint Model { get; } = Base(8) is 6 or 15 ? Base(4) | (s_features.Eax >> 16 & 15) << 4 : Base(4);
    public static uint Stepping => Base(0);
    public static string Name { get; } = ReadName();
    public static uint PhysicalBits { get; } = CpuIdentity.Cpuid(Extended).Eax >= Extended + 8 ? CpuIdentity.Cpuid(Extended + 8).Eax & 0xFF : 36;
    public static uint LinearBits { get; } = CpuIdentity.Cpuid(Extended).Eax >= Extended + 8 ? CpuIdentity.Cpuid(Extended + 8).Eax >> 8 & 0xFF : 48;
    public static string Flags { get; } = ReadFlags();

    private static uint Base(int shift) => s_features.Eax >> shift & 15;

    private static string ReadName()
    {
        if (CpuIdentity.Cpuid(Extended).Eax < Extended + 4) return "unknown";
        var text = new StringBuilder();
        for (uint leaf = Extended + 2; leaf <= Extended + 4; leaf++)
        {
            CpuidAnswer part = CpuIdentity.Cpuid(leaf);
            text.Append(Text(part.Eax, part.Ebx, part.Ecx, part.Edx));
        }
        return text.ToString().TrimEnd('\0', ' ').TrimStart();
    }

    // Names by bit, as Linux prints them; an empty name is a bit that it does not print.
    private static string ReadFlags()
    {
        const string edx1 = "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx fxsr sse sse2 ss ht tm ia64 pbe";
        const string ecx1 = "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor";
        const string edxExtended = "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow";
        const string ecxExtended = "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx - -";
        const string ebx7 = "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl";
        const string ecx7 = "- avx512vbmi umip pku ospke waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq - la57 - - - - - rdpid - - cldemote - movdiri movdir64b enqcmd sgx_lc -";
        var text = new StringBuilder();
        Add(text, edx1, s_features.Edx);
        CpuidAnswer extended = CpuIdentity.Cpuid(Extended).Eax > Extended ? CpuIdentity.Cpuid(Extended + 1) : default;
        Add(text, edxExtended, extended.Edx);
        Add(text, ecx1, s_features.Ecx);
        Add(text, ecxExtended, extended.Ecx);
        CpuidAnswer seven = MaxLeaf >= 7 ? CpuIdentity.Cpuid(7) : default;
        Add(text, ebx7, seven.Ebx);
        Add(text, ecx7, seven.Ecx);
        return text.ToString().TrimEnd();
    }

    private static void Add(StringBuilder text, string names, uint bits)
    {
        string[] all = names.Split(' ');
        for (int bit = 0; bit < all.Length; bit++)
        {
            if ((bits >> bit & 1) != 0 && all[bit] != "-") text.Append(all[bit]).Append(' ');
        }
    }

    private static string Text(params ReadOnlySpan<uint> words)
    {
        var bytes = new byte[words.Length * 4];
        for (int i = 0; i < words.Length; i++) BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), words[i]);
        return Encoding.Latin1.GetString(bytes);
    }
}
