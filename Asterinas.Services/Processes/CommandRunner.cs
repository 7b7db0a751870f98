using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes.Exec;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>
/// Process 1 for one command (the launcher's --exec): it never leaves the kernel. It starts a shell with the command, collects orphans, and when the command ends it switches the machine
/// off with the command's status: its exit code, or 128 and the signal that killed it, as shells have it.
/// </summary>
internal static class CommandRunner
{
    public static void Run(Thread init, byte[] command, KernelCommandLine options)
    {
        KernelSetup.PrepareForCommand(init, options);
        if (options.MarksOutput) KernelConsole.Write("\u001e\u001e");
        Process? child = null;
        var request = new CloneRequest { ExitSignal = (int)Signals.Signal.SIGCHLD };
        Result<int> made = Clone.RunKernel(init, request, thread => Begin(thread, command, options), out child);
        if (!made.IsOk) Panic.Fail($"the command cannot be started (error -{(int)made.Error})");
        while (true)
        {
            Result<WaitOutcome> ended = new ChildWait(init, WaitFor.All, null, WaitOptions.Exited | WaitOptions.AllKinds).Run();
            if (!ended.IsOk || ended.Value.Number != made.Value) continue;
            int status = ended.Value.Status;
            Power.Off((status & 0x7F) != 0 ? 128 + (status & 0x7F) : status >> 8 & 0xFF);
        }
    }

    private static void Begin(Thread thread, byte[] command, KernelCommandLine options)
    {
        KernelSetup.TakeConsole(thread);
        var arguments = new ExecArguments();
        byte[] shell = "/bin/sh"u8.ToArray();
        arguments.Arguments.Add("sh"u8);
        arguments.Arguments.Add("-c"u8);
        arguments.Arguments.Add(command);
        foreach (string word in options.Environment) arguments.Environment.Add(System.Text.Encoding.UTF8.GetBytes(word));
        arguments.Environment.Add("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"u8);
        Errno error = ProgramStart.Execute(thread, thread.FileSystem.Root, shell, shell, noFollow: false, allowEmpty: false, arguments);
        if (error == Errno.None) return;
        Log.Error($"/bin/sh cannot be executed (error -{(int)error})");
        thread.ExitGroup(127);
    }
}
