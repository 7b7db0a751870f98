using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>The host's spin hint: gives the time slice away, since the holder may be a thread that is not running.</summary>
internal static class SpinHint
{
    public static void Pause() => Thread.Yield();
}
