using System;

namespace Asterinas.Services.Devices.Tty;

/// <summary>Echo, erasing on the screen, and the processing of output; all of it keeps track of the cursor's column.</summary>
internal sealed partial class LineDiscipline
{
    private const int TabWidth = 8;

    private enum Erasure
    {
        Character,
        Word,
        Line,
    }

    private readonly ByteRing _echo = new(Capacity);
    // The cursor's column, and the one where the line being edited began.
    private uint _column, _lineColumn;
    // ECHOPRT: between the backslash and the slash that enclose what is erased.
    private bool _isErasing;

    /// <summary>Bytes of echo that wait to be sent.</summary>
    public int EchoCount => _echo.Count;

    /// <summary>Takes echo to be sent. Returns how many bytes.</summary>
    public int TakeEcho(Span<byte> destination) => _echo.Take(destination);

    /// <summary>Throws waiting echo away (tcflush(3)).</summary>
    public void FlushEcho() => _echo.Clear();

    /// <summary>A byte past all processing: the flow-control characters that input sends.</summary>
    public void SendFlowCharacter(ControlCharacter character)
    {
        if (Termios[character] != Disabled) _echo.Add(Termios[character]);
    }

    // ---- output

    /// <summary>Processes what a program writes (c_oflag).</summary>
    /// <param name="source">Its bytes.</param>
    /// <param name="destination">Room for the result; at least eight bytes.</param>
    /// <param name="produced">How many bytes came out.</param>
    /// <returns>How many bytes went in.</returns>
    public int ProcessOutput(ReadOnlySpan<byte> source, Span<byte> destination, out int produced)
    {
        produced = 0;
        if (!Termios.Has(OutputModes.PostProcess))
        {
            int count = Math.Min(source.Length, destination.Length);
            source[..count].CopyTo(destination);
            produced = count;
            return count;
        }
        int consumed = 0;
        while (consumed < source.Length && destination.Length - produced >= TabWidth) produced += Process(source[consumed++], destination[produced..]);
        return consumed;
    }

    // One byte of output. At most eight bytes come out.
    private int Process(byte value, Span<byte> destination)
    {
        switch (value)
        {
            case (byte)'\n':
                if (Termios.Has(OutputModes.NewLineReturns)) _column = 0;
                if (Termios.Has(OutputModes.NewLineToReturnNewLine))
                {
                    _column = _lineColumn = 0;
                    destination[0] = (byte)'\r';
                    destination[1] = (byte)'\n';
                    return 2;
                }
                _lineColumn = _column;
                break;
            case (byte)'\r':
                if (Termios.Has(OutputModes.NoReturnAtColumn0) && _column == 0) return 0;
                if (Termios.Has(OutputModes.ReturnToNewLine))
                {
                    value = (byte)'\n';
                    if (Termios.Has(OutputModes.NewLineReturns)) _column = _lineColumn = 0;
                    break;
                }
                _column = _lineColumn = 0;
                break;
            case (byte)'\t':
                int spaces = (int)(TabWidth - (_column & (TabWidth - 1)));
                _column += (uint)spaces;
                if ((Termios.Output & OutputModes.TabDelayMask) == OutputModes.ExpandTabs)
                {
                    destination[..spaces].Fill((byte)' ');
                    return spaces;
                }
                break;
            case (byte)'\b':
                if (_column > 0) _column--;
                break;
            default:
                if (IsControl(value)) break;
                if (Termios.Has(OutputModes.UpperCase)) value = ToUpper(value);
                if (!IsContinuation(value)) _column++;
                break;
        }
        destination[0] = value;
        return 1;
    }

    // ---- echo

    private void EchoRaw(byte value)
    {
        if (!Termios.Has(OutputModes.PostProcess))
        {
            _echo.Add(value);
            return;
        }
        Span<byte> bytes = stackalloc byte[TabWidth];
        _echo.Add(bytes[..Process(value, bytes)]);
    }

    private void Echo(byte value)
    {
        if (Termios.Has(LocalModes.EchoControl) && IsControl(value) && value != '\t')
        {
            EchoRaw((byte)'^');
            EchoRaw((byte)(value ^ 0x40));
            return;
        }
        EchoRaw(value);
    }

    // The line begins where its first character is echoed.
    private void NoteColumn()
    {
        if (_head == _canonHead) _lineColumn = _column;
    }

    private void Reprint(byte value)
    {
        FinishErasing();
        Echo(value);
        EchoRaw((byte)'\n');
        for (uint i = _canonHead; i != _head; i++) Echo(_buffer[i & Mask]);
    }

    private void FinishErasing()
    {
        if (!_isErasing) return;
        EchoRaw((byte)'/');
        _isErasing = false;
    }

    // ---- erasing

    private bool IsContinuation(byte value) => Termios.Has(InputModes.Utf8) && (value & 0xC0) == 0x80;

    private void Erase(Erasure what)
    {
        if (_head == _canonHead) return;
        if (what == Erasure.Line)
        {
            if (!Termios.Has(LocalModes.Echo))
            {
                _head = _canonHead;
                return;
            }
            if (!Termios.Has(LocalModes.EchoKill) || !Termios.Has(LocalModes.EchoKillErase) || !Termios.Has(LocalModes.EchoErase))
            {
                _head = _canonHead;
                FinishErasing();
                Echo(Termios[ControlCharacter.Kill]);
                if (Termios.Has(LocalModes.EchoKill)) EchoRaw((byte)'\n');
                return;
            }
        }
        bool sawWord = false;
        while (_head != _canonHead)
        {
            uint at = _head;
            byte value;
            do value = _buffer[--at & Mask];
            while (IsContinuation(value) && at != _canonHead);
            if (IsContinuation(value)) break;           // no beginning: not to be cut in two
            if (what == Erasure.Word)
            {
                if (IsLetterOrDigit(value)) sawWord = true;
                else if (sawWord) break;
            }
            int bytes = (int)(_head - at);
            _head = at;
            if (Termios.Has(LocalModes.Echo)) EraseEcho(what, value, at, bytes);
            if (what == Erasure.Character) break;
        }
        if (_head == _canonHead && Termios.Has(LocalModes.Echo)) FinishErasing();
    }

    private void EraseEcho(Erasure what, byte value, uint at, int bytes)
    {
        if (Termios.Has(LocalModes.EchoPrint))
        {
            if (!_isErasing)
            {
                EchoRaw((byte)'\\');
                _isErasing = true;
            }
            Echo(value);
            for (uint i = 1; i < bytes; i++) EchoRaw(_buffer[(at + i) & Mask]);
        }
        else if (what == Erasure.Character && !Termios.Has(LocalModes.EchoErase))
        {
            Echo(Termios[ControlCharacter.Erase]);
        }
        else if (value == '\t')
        {
            EraseTab();
        }
        else
        {
            if (IsControl(value) && Termios.Has(LocalModes.EchoControl)) Rub();
            if (!IsControl(value) || Termios.Has(LocalModes.EchoControl)) Rub();
        }
    }

    private void Rub()
    {
        EchoRaw((byte)'\b');
        EchoRaw((byte)' ');
        EchoRaw((byte)'\b');
    }

    // How wide the tab was follows from the columns between it and the tab before, or the beginning of the line.
    private void EraseTab()
    {
        uint columns = 0;
        bool isAfterTab = false;
        for (uint at = _head; at != _canonHead && !isAfterTab;)
        {
            byte value = _buffer[--at & Mask];
            if (value == '\t') isAfterTab = true;
            else if (IsControl(value)) columns += Termios.Has(LocalModes.EchoControl) ? 2u : 0;
            else if (!IsContinuation(value)) columns++;
        }
        if (!isAfterTab) columns += _lineColumn;
        for (uint count = TabWidth - (columns & (TabWidth - 1)); count > 0; count--)
        {
            _echo.Add((byte)'\b');
            if (_column > 0) _column--;
        }
    }
}
