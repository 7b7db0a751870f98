using System.Collections.Generic;

namespace Asterinas.Services.Network.Unix;

/// <summary>Bytes on their way, with what goes with them. A stream's reader takes them in pieces.</summary>
internal sealed class UnixMessage(byte[] bytes, Ancillary ancillary, UnixSocket sender, byte[]? name)
{
    public readonly byte[] Bytes = bytes;
    public readonly Ancillary Ancillary = ancillary;
    public readonly UnixSocket Sender = sender;
    public readonly byte[]? Name = name;
    public int Start;
    public int Length => Bytes.Length - Start;
}

/// <summary>What waits to be received at a socket. Under the socket's lock.</summary>
internal sealed class UnixQueue
{
    private readonly Queue<UnixMessage> _messages = new();

    public int Count => _messages.Count;
    public long Bytes { get; private set; }

    public void Add(UnixMessage message)
    {
        _messages.Enqueue(message);
        Bytes += message.Bytes.Length;
    }

    public UnixMessage? First => _messages.TryPeek(out UnixMessage? message) ? message : null;

    /// <summary>Takes bytes of the first message; it goes when none is left, or when it is to go whole.</summary>
    public void Take(int count, bool whole)
    {
        UnixMessage message = _messages.Peek();
        if (whole) count = message.Length;
        message.Start += count;
        Bytes -= count;
        if (message.Length == 0) _messages.Dequeue();
    }

    /// <summary>All messages; the queue is empty afterwards.</summary>
    public UnixMessage[] TakeAll()
    {
        UnixMessage[] messages = [.. _messages];
        _messages.Clear();
        Bytes = 0;
        return messages;
    }
}
