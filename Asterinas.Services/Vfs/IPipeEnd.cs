using System;
using Asterinas.Services.Memory;

namespace Asterinas.Services.Vfs;

/// <summary>
/// What splice(2), tee(2) and vmsplice(2) need of an end of a pipe; an <see cref="OpenFile"/> that is one implements it.
/// </summary>
internal interface IPipeEnd
{
    /// <summary>The pipe: the same object for both ends.</summary>
    object Pipe { get; }

    /// <summary>Waits for bytes to read. How many there are; 0 at the end (no writer). EAGAIN when it may not block, ERESTARTSYS.</summary>
    Result<long> WaitForData(bool nonBlocking);

    /// <summary>Waits for room to write. How much there is. EPIPE (the caller sends SIGPIPE), EAGAIN when it may not block, ERESTARTSYS.</summary>
    Result<long> WaitForRoom(bool nonBlocking);

    /// <summary>Excludes other readers (read(2) takes the same lock): what <see cref="Peek"/> shows stays until <see cref="Discard"/>.</summary>
    Mutex.Guard LockForReading();

    /// <summary>Copies bytes from the front without taking them; under <see cref="LockForReading"/>. Returns how many.</summary>
    int Peek(Span<byte> destination);

    /// <summary>Takes bytes from the front, and wakes writers; under <see cref="LockForReading"/>.</summary>
    void Discard(int count);

    /// <summary>Writes as write(2) does. EPIPE (the caller sends SIGPIPE), EAGAIN when it may not block, ERESTARTSYS.</summary>
    Result<long> WriteSome(ref IoSource source, bool nonBlocking);
}
