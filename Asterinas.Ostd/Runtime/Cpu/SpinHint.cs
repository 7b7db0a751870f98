namespace Asterinas.Ostd.Runtime;

/// <summary>A spinning CPU's hint, shared with code that is also compiled for the host.</summary>
internal static class SpinHint
{
    public static void Pause() => X64.Pause();
}
