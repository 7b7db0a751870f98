using System;
using System.Buffers.Binary;
using System.Text;
using Asterinas.Services.Devices.Tty;
using Asterinas.Services.Signals;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Tty;

/// <summary>The line discipline as pure state: bytes in, lines, echo and signals out.</summary>
public sealed class LineDisciplineTests
{
    private const int LocalFlags = 12, InputFlags = 0, OutputFlags = 4;

    private static LineDiscipline Create(int offset = 0, uint set = 0, uint clear = 0)
    {
        Termios termios = Termios.CreateInitial(false);
        var bytes = new byte[Termios.Size];
        termios.Encode(bytes);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), (flags | set) & ~clear);
        return new LineDiscipline(Termios.Decode(bytes));
    }

    private static void Type(LineDiscipline discipline, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        Assert.That(discipline.Receive(bytes), Is.EqualTo(bytes.Length));
    }

    private static string Read(LineDiscipline discipline, int room = 5000)
    {
        var bytes = new byte[room];
        return Encoding.UTF8.GetString(bytes, 0, discipline.Read(bytes, out bool _));
    }

    private static string Echo(LineDiscipline discipline)
    {
        var bytes = new byte[5000];
        return Encoding.UTF8.GetString(bytes, 0, discipline.TakeEcho(bytes));
    }

    [Test]
    public void Line_is_readable_only_when_it_has_ended()
    {
        LineDiscipline discipline = Create();
        Type(discipline, "abc");
        Assert.That(discipline.HasInput(1), Is.False);
        Type(discipline, "\r");
        Assert.That((Read(discipline), Echo(discipline)), Is.EqualTo(("abc\n", "abc\r\n")));
    }

    [Test]
    public void End_of_file_ends_a_line_without_a_byte()
    {
        LineDiscipline discipline = Create();
        Type(discipline, "ab\u0004\u0004");
        Assert.That(Read(discipline, 2), Is.EqualTo("ab"), "the character right behind what fills the buffer goes with it");
        Assert.That((discipline.HasInput(1), Read(discipline)), Is.EqualTo((true, "")));
        Assert.That(discipline.HasInput(1), Is.False);
    }

    [TestCase("abc\u007f\n", "ab\n", "abc\b \b\r\n", TestName = "Erase_takes_a_character")]
    [TestCase("a\u0001\u007f\n", "a\n", "a^A\b \b\b \b\r\n", TestName = "Erase_takes_a_control_character")]
    [TestCase("one two\u0017\n", "one \n", "one two\b \b\b \b\b \b\r\n", TestName = "Word_erase_takes_a_word")]
    [TestCase("ab\u0015\n", "\n", "ab\b \b\b \b\r\n", TestName = "Kill_takes_the_line")]
    [TestCase("a\tb\u007f\u007f\n", "a\n", "a\tb\b \b\b\b\b\b\b\b\b\r\n", TestName = "Erase_takes_a_tab")]
    public void Erasing_takes_characters_and_what_they_covered(string typed, string read, string echo)
    {
        LineDiscipline discipline = Create();
        Type(discipline, typed);
        Assert.That((Read(discipline), Echo(discipline)), Is.EqualTo((read, echo)));
    }

    [Test]
    public void Tab_after_a_prompt_is_erased_to_where_it_began()
    {
        LineDiscipline discipline = Create();
        discipline.ProcessOutput("12345"u8, new byte[64], out int _);
        Type(discipline, "\t\u007f");
        Assert.That(Echo(discipline), Is.EqualTo("\t\b\b\b"));
    }

    [Test]
    public void Utf8_character_is_erased_whole()
    {
        LineDiscipline discipline = Create(InputFlags, set: (uint)InputModes.Utf8);
        Type(discipline, "aä\u007f\n");
        Assert.That((Read(discipline), Echo(discipline)), Is.EqualTo(("a\n", "aä\b \b\r\n")));
    }

    [Test]
    public void Literal_next_makes_any_character_plain()
    {
        LineDiscipline discipline = Create();
        Type(discipline, "a\u0016\u0003\n");
        Assert.That((Read(discipline), Echo(discipline), discipline.TakeSignals().IsEmpty), Is.EqualTo(("a\u0003\n", "a^\b^C\r\n", true)));
    }

    [TestCase('\u0003', (int)Signal.SIGINT, TestName = "Interrupt_character_flushes_and_raises")]
    [TestCase('\u001c', (int)Signal.SIGQUIT, TestName = "Quit_character_flushes_and_raises")]
    [TestCase('\u001a', (int)Signal.SIGTSTP, TestName = "Suspend_character_flushes_and_raises")]
    public void Signal_character_flushes_and_raises(char character, int signal)
    {
        LineDiscipline discipline = Create();
        Type(discipline, "abc" + character);
        Assert.That(discipline.TakeSignals(), Is.EqualTo(SignalSet.Of((Signal)signal)));
        Assert.That((discipline.Buffered, discipline.TakeOutputFlush(), discipline.TakeSignals().IsEmpty), Is.EqualTo((0, true, true)));
    }

    [Test]
    public void NOFLSH_keeps_what_was_typed()
    {
        LineDiscipline discipline = Create(LocalFlags, set: (uint)LocalModes.NoFlush);
        Type(discipline, "ab\u0003c\n");
        Assert.That((Read(discipline), discipline.TakeOutputFlush()), Is.EqualTo(("abc\n", false)));
    }

    [Test]
    public void Stop_and_start_characters_hold_output_and_are_not_input()
    {
        LineDiscipline discipline = Create();
        Type(discipline, "\u0013");
        Assert.That(discipline.IsStopped, Is.True);
        Type(discipline, "\u0011");
        Assert.That((discipline.IsStopped, discipline.Buffered), Is.EqualTo((false, 0)));
    }

    [Test]
    public void Full_line_still_takes_its_end()
    {
        LineDiscipline discipline = Create(LocalFlags, clear: (uint)LocalModes.Echo);
        Type(discipline, new string('a', 5000));
        Type(discipline, "\n");
        Assert.That(Read(discipline, 6000), Is.EqualTo(new string('a', 4095) + "\n"));
    }

    [Test]
    public void Complete_lines_without_room_hold_the_sender()
    {
        LineDiscipline discipline = Create(LocalFlags, clear: (uint)LocalModes.Echo);
        Type(discipline, "x\n" + new string('a', 4093));
        Assert.That(discipline.Receive("b"u8), Is.Zero);
        Assert.That(Read(discipline), Is.EqualTo("x\n"));
        Assert.That(discipline.Receive("b"u8), Is.EqualTo(1));
    }

    [Test]
    public void Noncanonical_mode_shows_each_byte_and_what_was_typed_before()
    {
        LineDiscipline discipline = Create();
        Type(discipline, "ab");
        discipline.SetTermios(Create(LocalFlags, clear: (uint)LocalModes.Canonical).Termios);
        Assert.That(discipline.HasInput(2), Is.True);
        Type(discipline, "\u007f");
        Assert.That(Read(discipline), Is.EqualTo("ab\u007f"));
    }

    [Test]
    public void Output_is_processed_column_by_column()
    {
        LineDiscipline discipline = Create(OutputFlags, set: (uint)OutputModes.ExpandTabs);
        var bytes = new byte[64];
        Assert.That(discipline.ProcessOutput("ab\tc\n"u8, bytes, out int produced), Is.EqualTo(5));
        Assert.That(Encoding.ASCII.GetString(bytes, 0, produced), Is.EqualTo("ab      c\r\n"));
    }

    [Test]
    public void Settings_survive_the_way_to_a_program_and_back()
    {
        var bytes = new byte[Termios.Size2];
        Termios.CreateInitial(true).Encode(bytes);
        var again = new byte[Termios.Size2];
        Termios.Decode(bytes).Encode(again);
        Assert.That(again, Is.EqualTo(bytes));
    }
}
