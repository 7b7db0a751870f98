using Asterinas.Ostd.Diagnostics;

namespace HundredLines;

internal static class Program
{
    private static int Main()
    {
        KernelConsole.WriteLine("Hello");
        return 0;
    }
}
