using System;
using System.Diagnostics;
using System.IO;
using System.Threading;

namespace Asterinas.Boot.Launcher;

/// <summary>
/// Copies QEMU's output to ours from a mark on, two bytes 0x1E. What comes before is the firmware's. When the mark never comes, all of it goes to standard error:
/// there the reason is.
/// </summary>
internal sealed class MarkedOutput(Process qemu)
{
    private const byte Mark = 0x1E;
    private Thread? _copier;

    public void Start()
    {
        _copier = new Thread(Copy);
        _copier.Start();
    }

    /// <summary>Waits until all that was written is copied. QEMU has ended.</summary>
    public void Finish() => _copier?.Join();

    private void Copy()
    {
        using Stream from = qemu.StandardOutput.BaseStream, to = Console.OpenStandardOutput();
        var before = new MemoryStream();
        byte last = 0;
        int read;
        for (int value; (value = from.ReadByte()) >= 0; last = (byte)value)
        {
            if (last == Mark && value == Mark)
            {
                byte[] buffer = new byte[4096];
                while ((read = from.Read(buffer)) > 0)
                {
                    to.Write(buffer, 0, read);
                    to.Flush();
                }
                return;
            }
            before.WriteByte((byte)value);
        }
        using Stream errors = Console.OpenStandardError();
        before.WriteTo(errors);
    }
}
