using System;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Devices.Tty;

/// <summary>
/// The line discipline N_TTY (man 3 termios): what becomes of the bytes that a terminal sends, before a program reads them, and of those that a program writes. Pure state: it
/// knows neither processes nor devices. Its owner guards it with a lock, hands it bytes, and looks afterwards at what it wants: echo to be sent, signals to be raised.
/// <code>
///   _tail                _canonHead            _head
///     │  complete lines       │  line being edited │
///     ▼                       ▼                    ▼
///   ──┬───────────────────────┬────────────────────┬──    in canonical mode a program sees only what is left of _canonHead,
///                                                         else everything
/// </code>
/// INVARIANT: _tail, _canonHead and _head run freely and stand in this order; a set bit in _delimiters marks the last byte of a line.
/// </summary>
internal sealed partial class LineDiscipline
{
    /// <summary>Bytes of the input buffer; the last one is kept for the end of a line (man 3 termios, "Canonical and noncanonical mode").</summary>
    public const int Capacity = 4096;
    private const int Most = Capacity - 1;
    private const uint Mask = Capacity - 1;
    /// <summary>What stands for the end-of-file character in the buffer, and disables a control character (_POSIX_VDISABLE).</summary>
    private const byte Disabled = 0;

    private readonly byte[] _buffer = new byte[Capacity];
    private readonly ulong[] _delimiters = new ulong[Capacity / 64];
    private uint _head, _canonHead, _tail;
    private bool _isLiteralNext;
    private SignalSet _signals;

    public LineDiscipline(Termios termios) => Termios = termios;

    public Termios Termios { get; private set; }

    /// <summary>Whether output stands still: the stop character came, or tcflow(3).</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Whether tcflow(TCOOFF) stopped it, which only tcflow(TCOON) ends.</summary>
    public bool IsStoppedByProgram { get; private set; }

    /// <summary>Bytes in the input buffer, the line being edited included.</summary>
    public int Buffered => (int)(_head - _tail);

    /// <summary>Whether output that is under way is to be thrown away, since a signal character came; reading it clears it.</summary>
    public bool TakeOutputFlush()
    {
        bool wanted = _wantsOutputFlush;
        _wantsOutputFlush = false;
        return wanted;
    }

    private bool _wantsOutputFlush;

    /// <summary>Signals for the foreground process group; reading them clears them.</summary>
    public SignalSet TakeSignals()
    {
        SignalSet signals = _signals;
        _signals = default;
        return signals;
    }

    /// <summary>Changes the settings.</summary>
    public void SetTermios(Termios termios)
    {
        Termios old = Termios;
        Termios = termios;
        if (old.IsCanonical != termios.IsCanonical)
        {
            Array.Clear(_delimiters);
            if (termios.IsCanonical && Buffered > 0)
            {
                // What was typed before becomes a line of its own.
                SetDelimiter(_head - 1);
                _canonHead = _head;
            }
            else
            {
                _canonHead = _tail;
            }
            _isErasing = _isLiteralNext = false;
        }
        if (old.Has(InputModes.FlowControlOutput) && !termios.Has(InputModes.FlowControlOutput) && !IsStoppedByProgram) IsStopped = false;
    }

    /// <summary>Drops all input (tcflush(3)).</summary>
    public void FlushInput()
    {
        _head = _canonHead = _tail = 0;
        Array.Clear(_delimiters);
        _isErasing = _isLiteralNext = false;
    }

    /// <summary>tcflow(3): TCOOFF and TCOON.</summary>
    public void SetStoppedByProgram(bool isStopped) => IsStopped = IsStoppedByProgram = isStopped;

    /// <summary>Takes bytes that the terminal sent. Stops early when the buffer has no room until a program reads.</summary>
    /// <returns>How many were taken.</returns>
    public int Receive(ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            if (Buffered >= Most)
            {
                // A line longer than the buffer must still be able to end: its last byte makes room.
                if (Termios.IsCanonical && _canonHead == _tail)
                {
                    if (Buffered == Capacity || !EndsLine(bytes[i])) _head--;
                }
                else if (!IsTakenAnyway(bytes[i])) return i;
            }
            ReceiveOne(bytes[i]);
        }
        return bytes.Length;
    }

    // ---- input

    private bool EndsLine(byte value) =>
        value == '\n' || (value == '\r' && Termios.Has(InputModes.ReturnToNewLine)) || Is(value, ControlCharacter.EndOfFile) || Is(value, ControlCharacter.EndOfLine);

    // Characters that need no room.
    private bool IsTakenAnyway(byte value) =>
        (Termios.Has(LocalModes.Signals) && !_isLiteralNext && SignalOf(value) != Signal.None)
        || (Termios.Has(InputModes.FlowControlOutput) && (Is(value, ControlCharacter.Start) || Is(value, ControlCharacter.Stop)));

    private bool Is(byte value, ControlCharacter character) => value != Disabled && value == Termios[character];

    private Signal SignalOf(byte value) =>
        Is(value, ControlCharacter.Interrupt) ? Signal.SIGINT
        : Is(value, ControlCharacter.Quit) ? Signal.SIGQUIT
        : Is(value, ControlCharacter.Suspend) ? Signal.SIGTSTP
        : Signal.None;

    private void ReceiveOne(byte value)
    {
        Termios termios = Termios;
        if (termios.Has(InputModes.Strip)) value &= 0x7F;
        if (termios.Has(InputModes.LowerCase) && termios.Has(LocalModes.Extended)) value = ToLower(value);

        if (_isLiteralNext)
        {
            _isLiteralNext = false;
            Store(value, true);
            return;
        }
        if (termios.Has(InputModes.FlowControlOutput) && !IsStoppedByProgram)
        {
            if (Is(value, ControlCharacter.Start))
            {
                IsStopped = false;
                return;
            }
            if (Is(value, ControlCharacter.Stop))
            {
                IsStopped = true;
                return;
            }
            if (termios.Has(InputModes.AnyRestarts)) IsStopped = false;
        }
        if (termios.Has(LocalModes.Signals) && SignalOf(value) is not Signal.None and var signal)
        {
            Raise(signal, value);
            return;
        }
        if (value == '\r')
        {
            if (termios.Has(InputModes.IgnoreReturn)) return;
            if (termios.Has(InputModes.ReturnToNewLine)) value = (byte)'\n';
        }
        else if (value == '\n' && termios.Has(InputModes.NewLineToReturn))
        {
            value = (byte)'\r';
        }
        if (termios.IsCanonical && Edit(value)) return;
        Store(value, false);
    }

    private void Raise(Signal signal, byte value)
    {
        _signals |= SignalSet.Of(signal);
        if (!Termios.Has(LocalModes.NoFlush))
        {
            FlushInput();
            _echo.Clear();
            _wantsOutputFlush = true;
        }
        if (Termios.Has(InputModes.FlowControlOutput) && !IsStoppedByProgram) IsStopped = false;
        if (Termios.Has(LocalModes.Echo)) Echo(value);
    }

    // Canonical mode: line editing and line ends. False for what is just a character.
    private bool Edit(byte value)
    {
        Termios termios = Termios;
        bool isExtended = termios.Has(LocalModes.Extended);
        if (Is(value, ControlCharacter.Erase))
        {
            Erase(Erasure.Character);
            return true;
        }
        if (Is(value, ControlCharacter.Kill))
        {
            Erase(Erasure.Line);
            return true;
        }
        if (isExtended && Is(value, ControlCharacter.WordErase))
        {
            Erase(Erasure.Word);
            return true;
        }
        if (isExtended && Is(value, ControlCharacter.LiteralNext))
        {
            _isLiteralNext = true;
            if (termios.Has(LocalModes.Echo))
            {
                FinishErasing();
                if (termios.Has(LocalModes.EchoControl))
                {
                    EchoRaw((byte)'^');
                    EchoRaw((byte)'\b');
                }
            }
            return true;
        }
        if (isExtended && termios.Has(LocalModes.Echo) && Is(value, ControlCharacter.Reprint))
        {
            Reprint(value);
            return true;
        }
        if (value == '\n')
        {
            if (termios.Has(LocalModes.Echo) || termios.Has(LocalModes.EchoNewLine)) EchoRaw(value);
            EndLine(value);
            return true;
        }
        if (Is(value, ControlCharacter.EndOfFile))
        {
            EndLine(Disabled);
            return true;
        }
        if (Is(value, ControlCharacter.EndOfLine) || (isExtended && Is(value, ControlCharacter.EndOfLine2)))
        {
            if (termios.Has(LocalModes.Echo))
            {
                NoteColumn();
                Echo(value);
            }
            if (termios.Has(InputModes.MarkParity) && value == 0xFF) Put(value);
            EndLine(value);
            return true;
        }
        return false;
    }

    private void EndLine(byte value)
    {
        SetDelimiter(_head);
        Put(value);
        _canonHead = _head;
    }

    private void Store(byte value, bool isLiteral)
    {
        if (Termios.Has(LocalModes.Echo))
        {
            FinishErasing();
            if (value == '\n' && !isLiteral)
            {
                EchoRaw(value);
            }
            else
            {
                NoteColumn();
                Echo(value);
            }
        }
        // A true 0xFF is doubled, so that it differs from the mark (man 3 termios, PARMRK).
        if (Termios.Has(InputModes.MarkParity) && value == 0xFF && Buffered < Most - 1) Put(value);
        Put(value);
    }

    private void Put(byte value) => _buffer[_head++ & Mask] = value;

    private bool IsDelimiter(uint index) => (_delimiters[(index & Mask) >> 6] >> (int)(index & 63) & 1) != 0;
    private void SetDelimiter(uint index) => _delimiters[(index & Mask) >> 6] |= 1UL << (int)(index & 63);
    private void ClearDelimiter(uint index) => _delimiters[(index & Mask) >> 6] &= ~(1UL << (int)(index & 63));

    // ---- reading

    /// <summary>Bytes that a program may read now (FIONREAD): in canonical mode those of complete lines.</summary>
    public int Readable
    {
        get
        {
            if (!Termios.IsCanonical) return Buffered;
            int count = (int)(_canonHead - _tail);
            for (uint i = _tail; i != _canonHead; i++)
            {
                if (IsDelimiter(i) && _buffer[i & Mask] == Disabled) count--;
            }
            return count;
        }
    }

    /// <summary>Whether a read has something to return: a line, or so many bytes in noncanonical mode. An end-of-file character counts as a line.</summary>
    public bool HasInput(int minimum) => Termios.IsCanonical ? _canonHead != _tail : Buffered >= Math.Max(minimum, 1);

    /// <summary>Bytes that make a terminal readable for poll(2) in noncanonical mode.</summary>
    public int PollMinimum => Termios[ControlCharacter.Time] == 0 && Termios[ControlCharacter.Minimum] != 0 ? Termios[ControlCharacter.Minimum] : 1;

    /// <summary>Takes input out: in canonical mode at most to the end of a line.</summary>
    /// <param name="destination">Room for what comes.</param>
    /// <param name="isLineEnd">Whether a line has ended; without bytes it is the end of the file.</param>
    /// <returns>How many bytes were copied.</returns>
    public int Read(Span<byte> destination, out bool isLineEnd)
    {
        isLineEnd = false;
        uint end = Termios.IsCanonical ? _canonHead : _head;
        int count = 0;
        while (_tail != end)
        {
            bool isDelimiter = Termios.IsCanonical && IsDelimiter(_tail);
            bool isEndOfFile = isDelimiter && _buffer[_tail & Mask] == Disabled;
            // An end-of-file character right behind what fills the buffer goes with it, else the next read would end at once.
            if (count == destination.Length && !isEndOfFile) break;
            if (!isEndOfFile) destination[count++] = _buffer[_tail & Mask];
            if (isDelimiter) ClearDelimiter(_tail);
            _tail++;
            if (!isDelimiter) continue;
            isLineEnd = true;
            break;
        }
        return count;
    }

    private static bool IsControl(byte value) => value < 0x20 || value == 0x7F;
    private static bool IsLetterOrDigit(byte value) => value is (>= (byte)'0' and <= (byte)'9') or (>= (byte)'A' and <= (byte)'Z') or (>= (byte)'a' and <= (byte)'z') or (byte)'_';
    private static byte ToLower(byte value) => value is >= (byte)'A' and <= (byte)'Z' ? (byte)(value | 0x20) : value;
    private static byte ToUpper(byte value) => value is >= (byte)'a' and <= (byte)'z' ? (byte)(value & ~0x20) : value;
}
