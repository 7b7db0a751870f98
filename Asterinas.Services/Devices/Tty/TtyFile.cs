using System;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Devices.Tty;

/// <summary>An open terminal.</summary>
internal sealed class TtyFile : OpenFile
{
    private readonly int _hangUps;

    private TtyFile(VfsPath path, OpenFlags flags, Tty tty) : base(path, flags)
    {
        Tty = tty;
        _hangUps = tty.HangUps;
    }

    public Tty Tty { get; }

    /// <summary>Whether the line was cut since it was opened.</summary>
    public bool IsHungUp => _hangUps != Tty.HangUps;

    /// <summary>
    /// Opens a terminal. A session leader without terminal gets it as its controlling terminal, unless O_NOCTTY says otherwise. EBUSY when another process has it for itself alone, EIO.
    /// </summary>
    /// <param name="mayControl">False for /dev/console, which never becomes a controlling terminal by being opened.</param>
    public static Result<OpenFile> Open(Tty tty, VfsPath path, OpenFlags flags, Thread thread, bool mayControl = true)
    {
        if (tty.IsExclusive && !thread.Credentials.Has(Capability.SysAdmin)) return Errno.EBUSY;
        var file = new TtyFile(path, flags, tty);
        Errno opened = tty.OnOpen();
        if (opened != Errno.None)
        {
            file.Abandon();
            return opened;
        }
        file._isOpen = true;
        // Whoever cannot read from it is not its controlling process.
        if (mayControl && (flags & OpenFlags.NoControllingTerminal) == 0 && file.IsReadable && Terminal.Of(thread.Process) is null) tty.TakeControl(thread.Process, false);
        return file;
    }

    private bool _isOpen;

    private void Abandon() => Release();

    public override bool IsPollable => true;

    public override Result<long> ReadAt(ref IoSink sink, long position) => Tty.Read(ref sink, this);

    public override Result<long> WriteAt(ref IoSource source, ref long position) => Tty.Write(ref source, this);

    public override PollEvents Poll(PollObserver? observer) => Tty.Poll(this, observer);

    public override Result<long> Control(Thread thread, uint command, ulong argument) =>
        IsHungUp ? (command == TtyCommands.SetForeground ? Errno.ENOTTY : Errno.EIO) : Tty.Control(thread, command, argument, false);

    protected override void OnRelease()
    {
        if (_isOpen) Tty.OnClose();
    }
}
