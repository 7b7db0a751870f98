using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Scheduling;

namespace Asterinas.Tests.Kernel;

/// <summary>
/// The test kernel. <c>test=NAME</c> on the command line runs one test, <c>tests=devices</c> those that use devices, <c>tests=basic</c> those that are not about several CPUs, otherwise all run. Results go over the console as frames, lines that start with
/// the byte 0x1E, so that log lines in between do not matter:
/// <code>
///   start NAME        pass NAME        fail NAME base64(UTF-8 text)        end COUNT
/// </code>
/// <c>end=NAME</c> runs one of the tests that end the machine (see <see cref="EndingTests"/>).
/// </summary>
internal static class Program
{
    private static readonly Dictionary<string, Action> s_tests = new(StringComparer.Ordinal);

    /// <summary>The CPUs that the host gave the machine (<c>cpus=N</c>).</summary>
    public static int ExpectedCpus => int.TryParse(BootInfo.Current.GetOption("cpus"), NumberStyles.None, CultureInfo.InvariantCulture, out int cpus) ? cpus : 1;

    public static void Add(string name, Action test) => s_tests.Add(name, test);

    private static int Main()
    {
        Scheduler.Inject(new LinuxScheduler());
        if (BootInfo.Current.GetOption("end") is { } ending) return EndingTests.Run(ending);
        GcTests.Register();
        ExceptionTests.Register();
        MachineTests.Register();
        MemoryTests.Register();
        TaskTests.Register();
        UserModeTests.Register();
        DeviceTests.Register();
        SmpTests.Register();
        SmpGcTests.Register();
        SchedulingTests.Register();

        string? only = BootInfo.Current.GetOption("test");
        string? group = BootInfo.Current.GetOption("tests");
        int count = 0, failed = 0;
        foreach (KernelTest test in KernelTestList.All)
        {
            if ((only is not null && test.Name != only) || !test.IsIn(group)) continue;
            Frame($"start {test.Name}");
            count++;
            try
            {
                if (!s_tests.Remove(test.Name, out Action? action)) throw new TestFailure("the kernel has no such test");
                action();
                Frame($"pass {test.Name}");
            }
            catch (Exception problem)
            {
                failed++;
                Frame($"fail {test.Name} {Convert.ToBase64String(Encoding.UTF8.GetBytes(problem.ToString()))}");
            }
        }
        if (only is null && group is null)
        {
            foreach (string name in s_tests.Keys)
            {
                failed++;
                Log.Error($"test {name} is not on the list");
            }
        }
        Frame($"end {count}");
        return failed == 0 && count > 0 ? 0 : 1;
    }

    private static void Frame(string text) => KernelConsole.Write("\u001e" + text + "\n");
}

/// <summary>A failed expectation.</summary>
internal sealed class TestFailure(string message) : Exception(message);

/// <summary>Expectations of in-kernel tests.</summary>
internal static class Expect
{
    public static void True(bool condition, string message)
    {
        if (!condition) throw new TestFailure(message);
    }

    public static void Equal<T>(T expected, T actual, string what)
    {
        if (!EqualityComparer<T>.Default.Equals(expected, actual)) throw new TestFailure($"{what}: expected {expected}, was {actual}");
    }

    public static T Throws<T>(Action action) where T : Exception
    {
        try
        {
            action();
        }
        catch (T expected)
        {
            return expected;
        }
        throw new TestFailure($"no {typeof(T).Name} was thrown");
    }
}
