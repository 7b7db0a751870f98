# A front door to the dotnet commands: build.ps1 build | run | iso | test [further arguments]
param([string] $Command = "build")
switch ($Command) {
    "build" { dotnet build Asterinas.sln @args }
    "run" { dotnet run --project Asterinas.Boot -- @args }
    "iso" { dotnet build Asterinas.Boot -t:Iso @args }
    "test" { dotnet test @args }
    default { Write-Error "build.ps1 build | run | iso | test"; exit 2 }
}
exit $LASTEXITCODE
