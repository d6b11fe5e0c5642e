# Hears what a streamseg server says, with Mojolicious' WebSocket: prints each message, then the close code.
#   perl perl_client.pl ws://127.0.0.1:8765/ws
use v5.32;
use Mojo::UserAgent;
use Mojo::JSON qw(decode_json encode_json);

$| = 1;
my $agent = Mojo::UserAgent->new;
$agent->websocket($ARGV[0] => ['streamseg.v1.json'] => sub {
    my ($agent, $socket) = @_;
    die "no WebSocket: " . $socket->res->code unless $socket->is_websocket;
    die "subprotocol " . ($socket->protocol // "none") unless ($socket->protocol // "") eq "streamseg.v1.json";
    $socket->on(text => sub {
        my ($socket, $text) = @_;
        say $text;
        return unless decode_json($text)->{op} eq "hello";
        $socket->send({text => encode_json({op => "identify", d => {protocol => 1, client => "perl"}})});
    });
    $socket->on(finish => sub { say "closed $_[1]"; Mojo::IOLoop->stop });
});
Mojo::IOLoop->start;
