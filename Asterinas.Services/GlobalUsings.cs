// The kernel's own concepts win over the framework's of the same name, in every file.
global using Mutex = Asterinas.Ostd.Sync.Mutex;
global using SpinLock = Asterinas.Ostd.Sync.SpinLock;
global using Task = Asterinas.Ostd.Tasks.Task;
global using Thread = Asterinas.Services.Processes.Thread;
global using Timer = Asterinas.Ostd.Timers.Timer;
