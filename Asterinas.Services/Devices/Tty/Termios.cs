using System;
using System.Buffers.Binary;

namespace Asterinas.Services.Devices.Tty;

/// <summary>c_iflag of termios(3).</summary>
[Flags]
internal enum InputModes : uint
{
    IgnoreBreak = 0x1, BreakInterrupts = 0x2, IgnoreParity = 0x4, MarkParity = 0x8, CheckParity = 0x10, Strip = 0x20, NewLineToReturn = 0x40, IgnoreReturn = 0x80,
    ReturnToNewLine = 0x100, LowerCase = 0x200, FlowControlOutput = 0x400, AnyRestarts = 0x800, FlowControlInput = 0x1000, BellWhenFull = 0x2000, Utf8 = 0x4000,
}

/// <summary>c_oflag of termios(3).</summary>
[Flags]
internal enum OutputModes : uint
{
    PostProcess = 0x1, UpperCase = 0x2, NewLineToReturnNewLine = 0x4, ReturnToNewLine = 0x8, NoReturnAtColumn0 = 0x10, NewLineReturns = 0x20, TabDelayMask = 0x1800,
    ExpandTabs = 0x1800,
}

/// <summary>c_lflag of termios(3).</summary>
[Flags]
internal enum LocalModes : uint
{
    Signals = 0x1, Canonical = 0x2, Echo = 0x8, EchoErase = 0x10, EchoKill = 0x20, EchoNewLine = 0x40, NoFlush = 0x80, StopBackgroundOutput = 0x100, EchoControl = 0x200,
    EchoPrint = 0x400, EchoKillErase = 0x800, FlushOutput = 0x1000, PendingInput = 0x4000, Extended = 0x8000, ExternalProcessing = 0x10000,
}

/// <summary>Indices into c_cc of termios(3).</summary>
internal enum ControlCharacter
{
    Interrupt = 0, Quit = 1, Erase = 2, Kill = 3, EndOfFile = 4, Time = 5, Minimum = 6, Switch = 7, Start = 8, Stop = 9, Suspend = 10, EndOfLine = 11, Reprint = 12, Discard = 13,
    WordErase = 14, LiteralNext = 15, EndOfLine2 = 16,
}

/// <summary>A terminal's settings (man 3 termios). Immutable: a change makes new ones, so that whoever looks sees one consistent state.</summary>
internal sealed record Termios
{
    /// <summary>Bytes of struct termios, termios2 and termio of the kernel's ABI.</summary>
    public const int Size = 36, Size2 = 44, OldSize = 18;
    public const int CharacterCount = 19;
    private const int OldCharacterCount = 8;

    /// <summary>c_cflag: CBAUD, CS8, CREAD, HUPCL, CLOCAL, BOTHER.</summary>
    public const uint BaudMask = 0x100F, Size8 = 0x30, SizeMask = 0x30, Read = 0x80, HangUpOnClose = 0x400, IgnoreModem = 0x800, OtherBaud = 0x1000;
    private const uint Baud38400 = 0xF, Baud115200 = 0x1002;
    private const int InputBaudShift = 16;

    // Speeds by the number in CBAUD; from CBAUDEX (0x1000) on the second row (man 3 cfsetspeed).
    private static readonly uint[] s_speeds = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
    private static readonly uint[] s_fastSpeeds =
        [0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000];
    private static readonly byte[] s_characters = [3, 0x1C, 0x7F, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1A, 0, 0x12, 0xF, 0x17, 0x16, 0, 0, 0];

    private readonly byte[] _characters;

    private Termios(byte[] characters) => _characters = characters;

    public InputModes Input { get; init; }
    public OutputModes Output { get; init; }
    public uint Control { get; init; }
    public LocalModes Local { get; init; }
    public byte Line { get; init; }
    public uint InputSpeed { get; init; }
    public uint OutputSpeed { get; init; }

    public byte this[ControlCharacter character] => _characters[(int)character];

    public bool IsCanonical => (Local & LocalModes.Canonical) != 0;
    public bool Has(InputModes mode) => (Input & mode) != 0;
    public bool Has(OutputModes mode) => (Output & mode) != 0;
    public bool Has(LocalModes mode) => (Local & mode) != 0;

    /// <summary>Linux' settings of a terminal that nobody has set yet.</summary>
    /// <param name="isSerial">A serial line at 115,200 baud; else a pseudo-terminal.</param>
    public static Termios CreateInitial(bool isSerial) => new([.. s_characters])
    {
        Input = InputModes.ReturnToNewLine | InputModes.FlowControlOutput,
        Output = OutputModes.PostProcess | OutputModes.NewLineToReturnNewLine,
        Control = isSerial ? Baud115200 | Size8 | Read | HangUpOnClose | IgnoreModem : Baud38400 | Size8 | Read,
        Local = LocalModes.Signals | LocalModes.Canonical | LocalModes.Echo | LocalModes.EchoErase | LocalModes.EchoKill | LocalModes.EchoControl | LocalModes.EchoKillErase
            | LocalModes.Extended,
        InputSpeed = isSerial ? 115200u : 38400u, OutputSpeed = isSerial ? 115200u : 38400u,
    };

    /// <summary>Settings of a new pseudo-terminal's master: nothing is processed there.</summary>
    public static Termios CreateMaster() => new([.. s_characters]) { Control = Baud38400 | Size8 | Read, InputSpeed = 38400, OutputSpeed = 38400 };

    /// <summary>From struct termios, or struct termios2 when the speeds are behind it.</summary>
    public static Termios Decode(ReadOnlySpan<byte> bytes)
    {
        uint control = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        bool hasSpeeds = bytes.Length >= Size2;
        uint output = SpeedOf(control & BaudMask, hasSpeeds ? BinaryPrimitives.ReadUInt32LittleEndian(bytes[40..]) : 38400);
        uint inputBaud = control >> InputBaudShift & BaudMask;
        uint input = inputBaud == 0 ? output : SpeedOf(inputBaud, hasSpeeds ? BinaryPrimitives.ReadUInt32LittleEndian(bytes[36..]) : 38400);
        return new Termios(bytes.Slice(17, CharacterCount).ToArray())
        {
            Input = (InputModes)BinaryPrimitives.ReadUInt32LittleEndian(bytes), Output = (OutputModes)BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]), Control = control,
            Local = (LocalModes)BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]), Line = bytes[16], InputSpeed = input, OutputSpeed = output,
        };
    }

    /// <summary>To struct termios or struct termios2, by the length of the buffer.</summary>
    public void Encode(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)Input);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], (uint)Output);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], Control);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], (uint)Local);
        bytes[16] = Line;
        _characters.CopyTo(bytes[17..]);
        if (bytes.Length < Size2) return;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[36..], InputSpeed);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[40..], OutputSpeed);
    }

    /// <summary>From struct termio (TCSETA): the lower halves of the flags and eight characters change.</summary>
    public Termios WithOld(ReadOnlySpan<byte> bytes)
    {
        byte[] characters = [.. _characters];
        bytes.Slice(9, OldCharacterCount).CopyTo(characters);
        uint control = (Control & 0xFFFF0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]);
        uint speed = SpeedOf(control & BaudMask, OutputSpeed);
        return new Termios(characters)
        {
            Input = (InputModes)(((uint)Input & 0xFFFF0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes)),
            Output = (OutputModes)(((uint)Output & 0xFFFF0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..])), Control = control,
            Local = (LocalModes)(((uint)Local & 0xFFFF0000) | BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..])), Line = bytes[8], InputSpeed = speed, OutputSpeed = speed,
        };
    }

    /// <summary>To struct termio (TCGETA).</summary>
    public void EncodeOld(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, (ushort)Input);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], (ushort)Output);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], (ushort)Control);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], (ushort)Local);
        bytes[8] = Line;
        _characters.AsSpan(0, OldCharacterCount).CopyTo(bytes[9..]);
    }

    /// <summary>The same settings with 8 bits, no parity and the receiver on: what a pseudo-terminal cannot change.</summary>
    public Termios WithControl(uint control) => new(_characters)
    {
        Input = Input, Output = Output, Control = control, Local = Local, Line = Line, InputSpeed = InputSpeed, OutputSpeed = OutputSpeed,
    };

    /// <summary>The same settings with other local modes.</summary>
    public Termios WithLocal(LocalModes local) => new(_characters)
    {
        Input = Input, Output = Output, Control = Control, Local = local, Line = Line, InputSpeed = InputSpeed, OutputSpeed = OutputSpeed,
    };

    private static uint SpeedOf(uint baud, uint other) =>
        baud == OtherBaud ? other : (baud & OtherBaud) != 0 ? s_fastSpeeds[baud & 0xF] : s_speeds[baud & 0xF];
}
