using System;
using System.Text;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes.Exec;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>
/// The first process. It begins in the kernel: opens the console as standard input, output and error, and executes the first program that works, as Linux does: rdinit= or /init, then
/// init=, then /sbin/init, /etc/init, /bin/init, /bin/sh. With a command to run (asterinas.exec=) it stays in the kernel, is the parent of the command, and switches the machine off
/// with its status.
/// </summary>
internal static class InitProgram
{
    private static readonly string[] s_usual = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

    /// <summary>Makes process 1 and starts it.</summary>
    /// <param name="root">The root directory.</param>
    /// <param name="options">The kernel command line.</param>
    /// <param name="threadLimit">RLIMIT_NPROC and RLIMIT_SIGPENDING.</param>
    public static void Start(VfsPath root, KernelCommandLine options, ulong threadLimit)
    {
        var space = new PidNamespace(null);
        var spaces = new NamespaceSet
        {
            Pid = space, PidForChildren = space, Mount = KernelSetup.RootMounts, Uts = new UtsNamespace(Encoding.UTF8.GetBytes(options.HostName), "(none)"u8.ToArray()),
            Ipc = new IpcNamespace(), Network = new NetworkNamespace(),
        };
        Pid pid = space.Allocate().Value;
        var process = new Process(pid, AddressSpace.Create().Value, ResourceLimits.CreateInitial(threadLimit));
        var thread = new Thread(process, pid, new UserContext(), new Credentials { UserNamespace = UserNamespace.Initial }, spaces, new FileTable(), new FileSystemContext(root, root, 18))
        {
            Name = "init"u8.ToArray(),
        };
        using (SpinLock.Guard tree = ProcessTree.Lock.Lock())
        {
            pid.Thread = thread;
            pid.Process = process;
            space.Init = process;
            process.Threads.Add(thread);
            var session = new Session(pid) { Leader = process };
            new ProcessGroup(pid, session).Add(process);
            space.OnBorn();
        }
        UserAccount.Of(0).AddThread();
        thread.Prologue = self => Begin(self, options);
        if (thread.Start(new SchedulingAttributes()) != Errno.None) Panic.Fail("no memory for the first process");
    }

    private static void Begin(Thread thread, KernelCommandLine options)
    {
        KernelSetup.OpenConsole(thread);
        if (options.Command is { } command)
        {
            CommandRunner.Run(thread, command, options);
            return;
        }
        string first = options.InitramfsInit ?? "/init";
        Errno error = TryExecute(thread, first, options);
        if (error == Errno.None) return;
        if (error != Errno.ENOENT || options.InitramfsInit is not null) Log.Error($"Failed to execute {first} (error -{(int)error})");
        if (options.Init is { } wanted)
        {
            error = TryExecute(thread, wanted, options);
            if (error == Errno.None) return;
            Panic.Fail($"Requested init {wanted} failed (error -{(int)error}).");
        }
        foreach (string usual in s_usual)
        {
            error = TryExecute(thread, usual, options);
            if (error == Errno.None) return;
            if (error != Errno.ENOENT) Log.Error($"Starting init: {usual} exists but couldn't execute it (error -{(int)error})");
        }
        Panic.Fail("No working init found. Try passing init= option to kernel. See Linux Documentation/admin-guide/init.rst for guidance.");
    }

    private static Errno TryExecute(Thread thread, string path, KernelCommandLine options)
    {
        var arguments = new ExecArguments();
        byte[] name = Encoding.UTF8.GetBytes(path);
        arguments.Arguments.Add(name);
        foreach (string word in options.Arguments) arguments.Arguments.Add(Encoding.UTF8.GetBytes(word));
        foreach (string word in options.Environment) arguments.Environment.Add(Encoding.UTF8.GetBytes(word));
        return ProgramStart.Execute(thread, thread.FileSystem.Root, name, name, noFollow: false, allowEmpty: false, arguments);
    }
}
