using System;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices.Tty;

/// <summary>
/// The serial console: /dev/ttyS0, and /dev/console. Output goes to the wire at once, so it cannot be lost; input interrupts, and is read in the bottom half.
/// </summary>
internal sealed class ConsoleTty : Tty
{
    private const int MostAtOnce = 4096;

    private ConsoleTty() : base(Termios.CreateInitial(true))
    {
    }

    /// <summary>The one console.</summary>
    public static ConsoleTty Instance { get; } = new();

    public override DeviceNumber Device => new(4, 64);

    /// <summary>Registers the device nodes, and listens for input.</summary>
    public static void Initialize()
    {
        DeviceRegistry.Register(InodeType.CharacterDevice, new DeviceNumber(4, 64), "ttyS0", 0x180,
            static (path, flags, thread) => TtyFile.Open(Instance, path, flags, thread));
        DeviceRegistry.Register(InodeType.CharacterDevice, new DeviceNumber(5, 1), "console", 0x180,
            static (path, flags, thread) => TtyFile.Open(Instance, path, flags, thread, mayControl: false));
        DeviceRegistry.Register(InodeType.CharacterDevice, new DeviceNumber(5, 0), "tty", 0x1B6, OpenControlling);
        if (!KernelConsole.TryListen(Instance.OnInput)) Log.Warning("the console has no interrupt: it takes no input");
    }

    /// <summary>Bytes go out as programs write them, input is not echoed: for a run whose output a program reads.</summary>
    public void PassThrough()
    {
        using SpinLock.Guard guard = Lock.Lock();
        Discipline.SetTermios(Discipline.Termios with { Output = 0, Local = LocalModes.Canonical });
    }

    protected override bool HasModemLines => true;

    protected override int SendRoom => MostAtOnce;

    protected override void Send(ReadOnlySpan<byte> bytes) => KernelConsole.Write(bytes);

    // /dev/tty is whatever controls the caller (man 4 tty).
    private static Result<OpenFile> OpenControlling(VfsPath path, OpenFlags flags, Thread thread) =>
        Of(thread.Process) is Tty tty ? TtyFile.Open(tty, path, flags | OpenFlags.NoControllingTerminal, thread) : Errno.ENXIO;

    private void OnInput()
    {
        Span<byte> bytes = stackalloc byte[64];
        while (true)
        {
            int count = 0;
            for (int value; count < bytes.Length && (value = KernelConsole.Read()) >= 0;) bytes[count++] = (byte)value;
            if (count == 0) return;
            // What finds no room is lost, as on any serial line without flow control; the bell says so.
            if (Receive(bytes[..count]) < count && Discipline.Termios.Has(InputModes.BellWhenFull)) KernelConsole.Write("\a"u8);
        }
    }
}
