namespace Asterinas.Services.Devices.Tty;

/// <summary>Numbers of ioctl_tty(2).</summary>
internal static class TtyCommands
{
    public const uint GetTermios = 0x5401, SetTermios = 0x5402, SetTermiosDrain = 0x5403, SetTermiosFlush = 0x5404;
    public const uint GetOld = 0x5405, SetOld = 0x5406, SetOldDrain = 0x5407, SetOldFlush = 0x5408;
    public const uint SendBreak = 0x5409, Flow = 0x540A, Flush = 0x540B, SetExclusive = 0x540C, ClearExclusive = 0x540D, TakeControl = 0x540E;
    public const uint GetForeground = 0x540F, SetForeground = 0x5410, OutputQueue = 0x5411, SimulateInput = 0x5412, GetWindow = 0x5413, SetWindow = 0x5414;
    public const uint GetModem = 0x5415, SetModemBits = 0x5416, ClearModemBits = 0x5417, SetModem = 0x5418, GetSoftCarrier = 0x5419, SetSoftCarrier = 0x541A;
    public const uint InputQueue = 0x541B, PacketMode = 0x5420, GiveUpControl = 0x5422, SetDiscipline = 0x5423, GetDiscipline = 0x5424, SendBreakPosix = 0x5425;
    public const uint BreakOn = 0x5427, BreakOff = 0x5428, GetSession = 0x5429, HangUp = 0x5437, OpenPeer = 0x5441;
    public const uint GetTermios2 = 0x802C542A, SetTermios2 = 0x402C542B, SetTermios2Drain = 0x402C542C, SetTermios2Flush = 0x402C542D;
    public const uint GetPtyNumber = 0x80045430, LockPty = 0x40045431, GetDevice = 0x80045432, SendSignal = 0x40045436, GetPacketMode = 0x80045438, GetPtyLock = 0x80045439;
    public const uint GetExclusive = 0x80045440;
}
